package scenario;

import static scenario.World.check;

import com.datastax.oss.driver.api.core.ConsistencyLevel;
import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchStatementBuilder;
import com.datastax.oss.driver.api.core.cql.BatchType;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.ResultSet;
import com.datastax.oss.driver.api.core.cql.Row;
import com.datastax.oss.driver.api.core.cql.SimpleStatement;
import com.datastax.oss.driver.api.core.metadata.schema.KeyspaceMetadata;
import com.datastax.oss.driver.api.core.metadata.schema.TableMetadata;
import com.datastax.oss.driver.api.core.servererrors.AlreadyExistsException;
import com.datastax.oss.driver.api.core.servererrors.InvalidQueryException;
import com.datastax.oss.driver.api.core.servererrors.SyntaxError;
import com.datastax.oss.driver.api.core.servererrors.UnavailableException;
import com.datastax.oss.driver.api.core.type.DataType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;

/** The steps about data: schema, types, prepared statements, batches, errors. */
final class Data {
  static final String KEYSPACE = "d_java";

  private Data() {}

  /** A schema that all nodes agree on, and that the driver knows. */
  static void schema(CqlSession session) throws Exception {
    String columns =
        World.values().stream().map(value -> value.name() + " " + value.type()).collect(Collectors.joining(", "));
    List<String> statements = new ArrayList<>();
    statements.add("DROP KEYSPACE IF EXISTS " + KEYSPACE);
    statements.add(
        "CREATE KEYSPACE " + KEYSPACE + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}");
    statements.add("USE " + KEYSPACE);
    statements.addAll(World.types());
    statements.add("CREATE TABLE every_type (id int PRIMARY KEY, " + columns + ")");
    statements.add("CREATE TABLE altered (k int PRIMARY KEY, v int)");
    statements.add("CREATE TABLE batched (p int, c int, v text, PRIMARY KEY (p, c))");
    statements.add("CREATE TABLE paged (p int, c int, PRIMARY KEY (p, c))");
    for (String statement : statements) {
      ResultSet answer = session.execute(statement);
      check(answer.getExecutionInfo().isSchemaInAgreement(), "no agreement after '" + statement + "'");
    }
    check(session.checkSchemaAgreement(), "the nodes have different schemas");
    KeyspaceMetadata keyspace = session.getMetadata().getKeyspace(KEYSPACE).orElseThrow();
    TableMetadata table = keyspace.getTable("batched").orElseThrow();
    check(table.getPartitionKey().get(0).getName().asInternal().equals("p"), "another partition key");
    check(table.getClusteringColumns().size() == 1, "other clustering columns");
    check(keyspace.getUserDefinedType("person").isPresent(), "the driver does not know the type");
  }

  /** Every value goes in as a literal, comes out, goes in as the driver's own value, and comes out the same. */
  static void types(CqlSession session) throws Exception {
    List<World.Value> values = World.values();
    String names = values.stream().map(World.Value::name).collect(Collectors.joining(", "));
    String literals = values.stream().map(World.Value::literal).collect(Collectors.joining(", "));
    session.execute("INSERT INTO every_type (id, " + names + ") VALUES (1, " + literals + ")");
    PreparedStatement select = session.prepare("SELECT " + names + " FROM every_type WHERE id = ?");
    String markers = String.join(", ", Collections.nCopies(values.size(), "?"));
    PreparedStatement insert = session.prepare("INSERT INTO every_type (id, " + names + ") VALUES (2, " + markers + ")");
    Row row = read(session, select, 1, values);
    BoundStatement bound = insert.bind();
    for (int index = 0; index < values.size(); index++) {
      DataType type = row.getColumnDefinitions().get(index).getType();
      Object value = row.getObject(index);
      // A number of no bytes is null to the driver's codecs: it goes back as the bytes that came.
      bound = value == null || row.isNull(index)
          ? bound.setBytesUnsafe(index, row.getBytesUnsafe(index))
          : bound.set(index, value, session.getContext().getCodecRegistry().codecFor(type, value));
    }
    session.execute(bound);
    read(session, select, 2, values);
  }

  private static Row read(CqlSession session, PreparedStatement select, int id, List<World.Value> values) {
    Row row = session.execute(select.bind(id)).one();
    for (int index = 0; index < values.size(); index++) {
      World.Value value = values.get(index);
      String found = Text.of(row, index);
      check(found.equals(value.text()), "row " + id + ": " + value.type() + " " + value.literal() + " came as " + found + ", not " + value.text());
    }
    return row;
  }

  /** A prepared statement outlives a new column, and sees it. */
  static void prepared(CqlSession session) {
    PreparedStatement insert = session.prepare("INSERT INTO altered (k, v) VALUES (?, ?)");
    PreparedStatement select = session.prepare("SELECT * FROM altered WHERE k = ?");
    session.execute(insert.bind(1, 2));
    String before = session.execute(select.bind(1)).one().getFormattedContents();
    check(before.equals("[k:1, v:2]"), "before: " + before);
    session.execute("ALTER TABLE altered ADD w text");
    session.execute("UPDATE altered SET w = 'new' WHERE k = 1");
    session.execute(insert.bind(2, 3));
    for (int time = 0; time < 6; time++) {
      String after = session.execute(select.bind(1)).one().getFormattedContents();
      check(after.equals("[k:1, v:2, w:'new']"), "after: " + after);
    }
    String other = session.execute(select.bind(2)).one().getFormattedContents();
    check(other.equals("[k:2, v:3, w:NULL]"), "the other row: " + other);
  }

  /** Unlogged batches of prepared and plain statements, over several partitions, with a timestamp. */
  static void batches(CqlSession session) {
    PreparedStatement insert = session.prepare("INSERT INTO batched (p, c, v) VALUES (?, ?, ?)");
    BatchStatementBuilder batch = BatchStatement.builder(BatchType.UNLOGGED).setQueryTimestamp(1_234_567);
    for (int number = 0; number < 20; number++) {
      batch.addStatement(insert.bind(number % 4, number, "row " + number));
    }
    session.execute(batch.build());
    session.execute(
        BatchStatement.newInstance(
            BatchType.UNLOGGED,
            SimpleStatement.newInstance("INSERT INTO batched (p, c, v) VALUES (1, 100, 'plain')"),
            SimpleStatement.newInstance("DELETE FROM batched WHERE p = 1 AND c = 1")));
    List<Row> rows = session.execute("SELECT c, v, writetime(v) FROM batched WHERE p = 1").all();
    String found =
        rows.stream().map(row -> row.getInt(0) + " " + row.getString(1)).collect(Collectors.joining(", "));
    check(found.equals("5 row 5, 9 row 9, 13 row 13, 17 row 17, 100 plain"), "partition 1 holds " + found);
    long written = rows.get(0).getLong(2);
    check(written == 1_234_567, "the batch's timestamp became " + written);
  }

  /** Errors arrive as what they are. */
  static void errors(CqlSession session) {
    refused(session, SimpleStatement.newInstance("SELEC 1"), SyntaxError.class);
    refused(session, SimpleStatement.newInstance("SELECT * FROM no_such_table"), InvalidQueryException.class);
    session.execute("DROP KEYSPACE IF EXISTS d_java_far");
    session.execute(
        "CREATE KEYSPACE d_java_far WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 5}");
    String create = "CREATE TABLE d_java_far.t (k int PRIMARY KEY)";
    session.execute(create);
    refused(session, SimpleStatement.newInstance(create), AlreadyExistsException.class);
    SimpleStatement write =
        SimpleStatement.newInstance("INSERT INTO d_java_far.t (k) VALUES (1)")
            .setConsistencyLevel(ConsistencyLevel.ALL);
    UnavailableException error = refused(session, write, UnavailableException.class);
    check(error.getRequired() == 5 && error.getAlive() == 3, error.getMessage());
  }

  private static <T extends Exception> T refused(CqlSession session, SimpleStatement statement, Class<T> wanted) {
    try {
      session.execute(statement);
    } catch (RuntimeException error) {
      check(wanted.isInstance(error), "'" + statement.getQuery() + "' failed with " + error);
      return wanted.cast(error);
    }
    throw new IllegalStateException("'" + statement.getQuery() + "' succeeded");
  }
}
