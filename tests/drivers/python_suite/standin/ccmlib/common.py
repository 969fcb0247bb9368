"""The helpers that tests import."""

import socket
import time

INTERVAL_S = 0.1


def check_socket_listening(address, timeout=60):
    """Waits until somebody listens at (host, port)."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            socket.create_connection(address, timeout=timeout).close()
            return True
        except OSError:
            time.sleep(INTERVAL_S)
    return False


def switch_cluster(path, name):
    """There is no current cluster here."""
