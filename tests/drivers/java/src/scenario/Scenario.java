package scenario;

import static scenario.World.check;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import java.net.InetSocketAddress;
import java.time.Duration;

/** The scenario of tests/drivers/README.md through the Java driver. */
public final class Scenario {
  /** One step; it ends with an exception if it fails. */
  private interface Step {
    void run(CqlSession session) throws Exception;
  }

  private final Heard heard = new Heard();

  public static void main(String[] arguments) {
    try {
      new Scenario().run();
    } catch (Exception error) {
      System.err.println("java: " + error.getMessage());
      error.printStackTrace();
      System.exit(1);
    }
  }

  private void run() throws Exception {
    try (CqlSession session = connect()) {
      System.out.println("java: connect ok");
      step(session, "nodes", Nodes::all);
      step(session, "schema", Data::schema);
      step(session, "types", Data::types);
      step(session, "prepared", Data::prepared);
      step(session, "batches", Data::batches);
      step(session, "paging", Rows::paging);
      step(session, "routing", Nodes::routing);
      step(session, "errors", Data::errors);
      step(session, "tracing", Nodes::tracing);
      step(session, "down and up", its -> Nodes.downAndUp(its, heard));
      step(session, "tls", its -> Nodes.tls());
    }
  }

  private static void step(CqlSession session, String name, Step step) throws Exception {
    if (World.skips(name)) {
      System.out.println("java: " + name + " skipped");
      return;
    }
    try {
      step.run(session);
    } catch (Exception error) {
      throw new IllegalStateException(name + ": " + error.getMessage(), error);
    }
    System.out.println("java: " + name + " ok");
  }

  private CqlSession connect() {
    DriverConfigLoader configuration =
        DriverConfigLoader.programmaticBuilder()
            .withString(DefaultDriverOption.REQUEST_CONSISTENCY, "QUORUM")
            .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(30))
            .build();
    CqlSession session =
        CqlSession.builder()
            .addContactPoint(new InetSocketAddress(World.NODES.get(0), 9042))
            .withLocalDatacenter(World.DATA_CENTER)
            .withConfigLoader(configuration)
            .withNodeStateListener(heard)
            .build();
    String version = session.execute("SELECT release_version FROM system.local").one().getString(0);
    check(Character.isDigit(version.charAt(0)), "release_version is '" + version + "'");
    return session;
  }
}
