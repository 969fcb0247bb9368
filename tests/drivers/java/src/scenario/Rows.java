package scenario;

import static scenario.World.check;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchStatementBuilder;
import com.datastax.oss.driver.api.core.cql.BatchType;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.ResultSet;
import com.datastax.oss.driver.api.core.cql.Row;
import java.util.Arrays;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Semaphore;

/** The step about pages. */
final class Rows {
  private static final int ROWS = 100_000;
  private static final int ROWS_OF_PARTITION = 1_000;
  private static final int ROWS_OF_BATCH = 100;
  private static final int PAGE = 4_999;
  private static final int IN_FLIGHT = 8;

  private Rows() {}

  /** A hundred thousand rows come page by page, each once. */
  static void paging(CqlSession session) throws Exception {
    write(session);
    PreparedStatement select = session.prepare("SELECT p, c FROM paged");
    ResultSet answer = session.execute(select.bind().setPageSize(PAGE));
    int[] seen = new int[ROWS];
    for (Row row : answer) {
      int p = row.getInt(0);
      int c = row.getInt(1);
      check(c >= 0 && c < ROWS && p == c / ROWS_OF_PARTITION, "row " + c + " came from partition " + p);
      seen[c]++;
    }
    long skipped = Arrays.stream(seen).filter(times -> times == 0).count();
    long repeated = Arrays.stream(seen).filter(times -> times > 1).count();
    check(skipped == 0 && repeated == 0, skipped + " rows skipped, " + repeated + " repeated");
    int pages = answer.getExecutionInfos().size();
    check(pages > ROWS / PAGE, ROWS + " rows came in " + pages + " pages of " + PAGE);
  }

  private static void write(CqlSession session) throws Exception {
    PreparedStatement insert = session.prepare("INSERT INTO paged (p, c) VALUES (?, ?)");
    Semaphore room = new Semaphore(IN_FLIGHT);
    Throwable[] failure = new Throwable[1];
    for (int first = 0; first < ROWS; first += ROWS_OF_BATCH) {
      BatchStatementBuilder batch = BatchStatement.builder(BatchType.UNLOGGED);
      for (int row = first; row < first + ROWS_OF_BATCH; row++) {
        batch.addStatement(insert.bind(row / ROWS_OF_PARTITION, row));
      }
      room.acquire();
      CompletionStage<?> written = session.executeAsync(batch.build());
      written.whenComplete(
          (answer, error) -> {
            if (error != null) {
              failure[0] = error;
            }
            room.release();
          });
    }
    room.acquire(IN_FLIGHT);
    check(failure[0] == null, "a batch failed: " + failure[0]);
  }
}
