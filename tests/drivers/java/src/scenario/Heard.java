package scenario;

import com.datastax.oss.driver.api.core.metadata.Node;
import com.datastax.oss.driver.api.core.metadata.NodeStateListenerBase;
import java.net.InetSocketAddress;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** What the driver said of nodes. */
final class Heard extends NodeStateListenerBase {
  private final Set<String> events = ConcurrentHashMap.newKeySet();

  @Override
  public void onUp(Node node) {
    events.add("UP " + address(node));
  }

  @Override
  public void onDown(Node node) {
    events.add("DOWN " + address(node));
  }

  void forget() {
    events.clear();
  }

  boolean has(String event, String address) {
    return events.contains(event + " " + address);
  }

  static String address(Node node) {
    return ((InetSocketAddress) node.getEndPoint().resolve()).getAddress().getHostAddress();
  }
}
