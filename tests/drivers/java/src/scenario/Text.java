package scenario;

import com.datastax.oss.driver.api.core.data.CqlDuration;
import com.datastax.oss.driver.api.core.data.CqlVector;
import com.datastax.oss.driver.api.core.data.GettableByIndex;
import com.datastax.oss.driver.api.core.data.TupleValue;
import com.datastax.oss.driver.api.core.data.UdtValue;
import com.datastax.oss.protocol.internal.util.Bytes;
import java.math.BigDecimal;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A value of the driver as the text that values.json has for it. */
final class Text {
  private Text() {}

  /** The value at this place of a row, tuple or user type: the driver's own null may also be an empty collection or no bytes. */
  static String of(GettableByIndex data, int index) {
    if (data.isNull(index)) {
      return "null";
    }
    Object value = data.getObject(index);
    return value == null ? "empty" : of(value);
  }

  private static String of(Object value) {
    if (value instanceof ByteBuffer bytes) {
      return Bytes.toHexString(bytes);
    } else if (value instanceof BigDecimal number) {
      return number.toPlainString();
    } else if (value instanceof LocalDate date) {
      return Long.toString(date.toEpochDay());
    } else if (value instanceof LocalTime time) {
      return Long.toString(time.toNanoOfDay());
    } else if (value instanceof Instant instant) {
      return Long.toString(instant.toEpochMilli());
    } else if (value instanceof InetAddress address) {
      return address.getHostAddress();
    } else if (value instanceof CqlDuration duration) {
      return duration.getMonths() + "mo" + duration.getDays() + "d" + duration.getNanoseconds() + "ns";
    } else if (value instanceof CqlVector<?> vector) {
      return between("[", vector.stream().map(Text::of), "]");
    } else if (value instanceof TupleValue tuple) {
      return between("(", IntStream.range(0, tuple.size()).mapToObj(index -> of(tuple, index)), ")");
    } else if (value instanceof UdtValue udt) {
      return between("{", IntStream.range(0, udt.size()).mapToObj(index -> field(udt, index)), "}");
    } else if (value instanceof List<?> list) {
      return between("[", list.stream().map(Text::of), "]");
    } else if (value instanceof Map<?, ?> map) {
      return between("{", map.entrySet().stream().map(entry -> of(entry.getKey()) + ": " + of(entry.getValue())), "}");
    } else if (value instanceof Collection<?> set) {
      return between("{", set.stream().map(Text::of), "}");
    }
    return value.toString();
  }

  private static String field(UdtValue udt, int index) {
    return udt.getType().getFieldNames().get(index).asInternal() + ": " + of(udt, index);
  }

  private static String between(String open, Stream<String> parts, String close) {
    return parts.collect(Collectors.joining(", ", open, close));
  }
}
