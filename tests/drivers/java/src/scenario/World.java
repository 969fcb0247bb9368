package scenario;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;

/** What the scenario knows of its surroundings, and how to wait. */
final class World {
  /** One value of values.json: its column, CQL type, literal, and the text that it has. */
  record Value(String name, String type, String literal, String text) {}

  static final List<String> NODES = List.of(System.getenv("DRIVERS_NODES").split(","));
  static final String DATA_CENTER = System.getenv("DRIVERS_DC");

  private World() {}

  /** The statements that create the user types of values.json. */
  static List<String> types() throws IOException {
    List<String> statements = new ArrayList<>();
    file().get("types").forEach(statement -> statements.add(statement.asText()));
    return statements;
  }

  static List<Value> values() throws IOException {
    List<Value> values = new ArrayList<>();
    for (JsonNode value : file().get("values")) {
      String name = "v" + values.size();
      values.add(
          new Value(name, value.get("type").asText(), value.get("literal").asText(), value.get("text").asText()));
    }
    return values;
  }

  private static JsonNode file() throws IOException {
    return new ObjectMapper().readTree(Path.of(System.getenv("DRIVERS_VALUES")).toFile());
  }

  static boolean skips(String step) {
    String skipped = System.getenv("DRIVERS_SKIP");
    return skipped != null && List.of(skipped.split(",")).contains(step);
  }

  /** Ends a step with this text unless the condition holds. */
  static void check(boolean condition, String text) {
    if (!condition) {
      throw new IllegalStateException(text);
    }
  }

  /** Asks the control for `kill` or `start` of a node, counted from 1. */
  static void control(String verb, int node) throws IOException, InterruptedException {
    URI address = URI.create("http://" + System.getenv("DRIVERS_CONTROL") + "/" + verb + "/" + node);
    HttpResponse<String> answer =
        HttpClient.newHttpClient().send(HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString());
    check(answer.statusCode() == 200, verb + " of node " + node + ": " + answer.body());
  }

  /** Looks again until it is so, or the time is over. */
  static void until(String what, int seconds, BooleanSupplier look) throws InterruptedException {
    long deadline = System.nanoTime() + seconds * 1_000_000_000L;
    while (!look.getAsBoolean()) {
      check(System.nanoTime() < deadline, what + ": not within " + seconds + " s");
      Thread.sleep(100);
    }
  }
}
