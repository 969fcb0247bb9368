package scenario;

import static scenario.World.check;
import static scenario.World.until;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.cql.ExecutionInfo;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.QueryTrace;
import com.datastax.oss.driver.api.core.cql.ResultSet;
import com.datastax.oss.driver.api.core.cql.Row;
import com.datastax.oss.driver.api.core.cql.SimpleStatement;
import com.datastax.oss.driver.api.core.metadata.Node;
import com.datastax.oss.driver.api.core.metadata.NodeState;
import com.datastax.oss.driver.api.core.ssl.ProgrammaticSslEngineFactory;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** The steps about nodes: who they are, who is asked, who dies. */
final class Nodes {
  private Nodes() {}

  /** The driver knows all three, from one. */
  static void all(CqlSession session) throws Exception {
    Set<String> found =
        session.getMetadata().getNodes().values().stream().map(Heard::address).collect(Collectors.toSet());
    check(found.equals(new HashSet<>(World.NODES)), "the driver knows " + found);
    until(
        "all are up",
        30,
        () -> session.getMetadata().getNodes().values().stream().allMatch(node -> node.getState() == NodeState.UP));
    for (Node node : session.getMetadata().getNodes().values()) {
      check(World.DATA_CENTER.equals(node.getDatacenter()), node + " is in " + node.getDatacenter());
    }
    check(session.getMetadata().getTokenMap().isPresent(), "the driver has no token map");
  }

  /** The owner of each token, as the nodes' own tables have it. */
  private static TreeMap<Long, String> ring(CqlSession session) {
    TreeMap<Long, String> tokens = new TreeMap<>();
    Set<String> asked = new HashSet<>();
    for (int time = 0; asked.size() < 3; time++) {
      check(time < 1_000, "a thousand questions reached only " + asked);
      Row row = session.execute("SELECT rpc_address, tokens FROM system.local").one();
      String node = row.getInetAddress(0).getHostAddress();
      asked.add(node);
      row.getSet(1, String.class).forEach(token -> tokens.put(Long.parseLong(token), node));
    }
    return tokens;
  }

  /** With one copy of each row, every request goes straight to the node that has it. */
  static void routing(CqlSession session) {
    session.execute("DROP KEYSPACE IF EXISTS d_java_one");
    session.execute(
        "CREATE KEYSPACE d_java_one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    session.execute("CREATE TABLE d_java_one.routed (a text, b int, v int, PRIMARY KEY ((a, b)))");
    TreeMap<Long, String> ring = ring(session);
    PreparedStatement insert = session.prepare("INSERT INTO d_java_one.routed (a, b, v) VALUES (?, ?, ?)");
    PreparedStatement select = session.prepare("SELECT v, token(a, b) FROM d_java_one.routed WHERE a = ? AND b = ?");
    Set<String> coordinators = new HashSet<>();
    for (int number = 0; number < 60; number++) {
      String key = "key " + number;
      ResultSet written = session.execute(insert.bind(key, number, number));
      ResultSet read = session.execute(select.bind(key, number));
      Row row = read.one();
      check(row.getInt(0) == number, "row " + number + " holds " + row.getInt(0));
      long token = row.getLong(1);
      Map.Entry<Long, String> range = ring.ceilingEntry(token);
      String owner = (range == null ? ring.firstEntry() : range).getValue();
      List<String> asked = List.of(coordinator(written), coordinator(read));
      check(asked.equals(List.of(owner, owner)), "token " + token + " is " + owner + "'s, but " + asked + " were asked");
      coordinators.addAll(asked);
    }
    check(coordinators.size() == 3, "60 keys went to " + coordinators + " alone");
  }

  private static String coordinator(ResultSet answer) {
    return Heard.address(answer.getExecutionInfo().getCoordinator());
  }

  /** A traced request has a session and events that can be read. */
  static void tracing(CqlSession session) {
    SimpleStatement statement =
        SimpleStatement.newInstance("SELECT * FROM d_java.batched WHERE p = 1").setTracing(true);
    ExecutionInfo info = session.execute(statement).getExecutionInfo();
    check(info.getTracingId() != null, "the answer has no tracing id");
    QueryTrace trace = info.getQueryTrace();
    InetAddress coordinator = trace.getCoordinatorAddress().getAddress();
    check(World.NODES.contains(coordinator.getHostAddress()), "the trace's coordinator is " + coordinator);
    check(trace.getDurationMicros() >= 0, "the trace has no duration");
    check(trace.getEvents().size() >= 2, "the trace has " + trace.getEvents().size() + " events");
    boolean whole = trace.getEvents().stream().allMatch(event -> event.getActivity() != null && event.getSourceAddress() != null);
    check(whole, "an event without text or source");
  }

  /** The driver hears of a node that dies and comes back, goes on without it, and uses it again. */
  static void downAndUp(CqlSession session, Heard heard) throws Exception {
    String victim = World.NODES.get(2);
    heard.forget();
    World.control("kill", 3);
    until("DOWN is heard", 60, () -> heard.has("DOWN", victim));
    PreparedStatement write =
        session.prepare("INSERT INTO d_java.batched (p, c, v) VALUES (9, ?, 'while one is down')");
    for (int number = 0; number < 50; number++) {
      session.execute(write.bind(number));
    }
    World.control("start", 3);
    until("UP is heard", 120, () -> heard.has("UP", victim));
    until(
        "the node is asked again",
        60,
        () -> coordinator(session.execute("SELECT rpc_address FROM system.local")).equals(victim));
  }

  /** With the right authority the driver connects by TLS, with another it does not. */
  static void tls() throws Exception {
    try (CqlSession session = byTls("ca.pem")) {
      check(session.execute("SELECT cluster_name FROM system.local").one().getString(0) != null, "no name");
    }
    try (CqlSession session = byTls("other-ca.pem")) {
      throw new IllegalStateException("a certificate of another authority was accepted");
    } catch (com.datastax.oss.driver.api.core.AllNodesFailedException expected) {
      check(expected.getMessage() != null, "no reason");
    }
  }

  private static CqlSession byTls(String authority) throws Exception {
    KeyStore authorities = KeyStore.getInstance(KeyStore.getDefaultType());
    authorities.load(null, null);
    try (InputStream file = Files.newInputStream(Path.of(System.getenv("DRIVERS_CERTIFICATES"), authority))) {
      authorities.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(authorities);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return CqlSession.builder()
        .addContactPoint(new InetSocketAddress(System.getenv("DRIVERS_TLS_NODE"), 9042))
        .withLocalDatacenter(World.DATA_CENTER)
        .withSslEngineFactory(new ProgrammaticSslEngineFactory(context, null, true))
        .build();
  }
}
