"""Three nodes for a driver's scenario, and a control by which the scenario kills and starts them.

    python3 cluster.py COMMAND [ARGUMENT ...]

starts three nodes of Quorate on loopback addresses drawn from the process id, runs the command, stops the nodes and ends with
the command's status. The command finds in its environment:

    DRIVERS_NODES    the nodes' addresses, comma-separated; CQL is on port 9042
    DRIVERS_DC       the data centre of all of them
    DRIVERS_CONTROL  HOST:PORT of the control: GET /kill/N is kill -9 of node N (1 to 3), GET /start/N starts it again and answers
                     when it serves; 200 and 'ok', or 500 and the reason
    DRIVERS_VALUES   the file of values that go in and out
    DRIVERS_FOLDER   a folder for what the command wants to write, gone afterwards
    DRIVERS_TLS_NODE      a node that serves TLS on port 9042, too; ours all do
    DRIVERS_CERTIFICATES  the folder of its authority, as the script `certificates` writes it
    DRIVERS_SKIP     names of steps that are not to run, comma-separated

The binary is QUORATE_BIN, or target/release/quorate. With DRIVERS_NODES in the environment no node is started and those are
taken instead, any server's: DRIVERS_KILL and DRIVERS_START are then the commands that the control runs, with the node's number
as their last argument.
"""

import http.server
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
READY_WITHIN_S = 60
STOP_WITHIN_S = 15


class Node:
    """A process of Quorate, started on the same directory each time."""

    def __init__(self, binary, folder, number, address, seed):
        self.log = folder / f"node{number}.log"
        self.command = [
            binary, "start", "--cluster-name=drivers", f"--listen={address}", f"--seeds={seed}",
            f"--data-dir={folder / f'node{number}'}", "--client-tls=optional",
            f"--client-tls-certificate={folder / 'certificates/server.pem'}",
            f"--client-tls-key={folder / 'certificates/server.key'}",
        ]  # fmt: skip
        self.process = None

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")}
        output = self.log.with_suffix(".out")
        with open(self.log, "ab") as log, open(output, "wb") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while b"ready:" not in output.read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{shlex.join(self.command)} is not ready; its log ends:\n{self.end_of_log()}")
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def end_of_log(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class ForeignNode:
    """A node of somebody else's cluster, with commands to kill and start it."""

    def __init__(self, number, address):
        self.number, self.address = number, address

    def run(self, name):
        if name not in os.environ:
            raise RuntimeError(f"{name} is not set: nobody knows how to do that to node {self.number}")
        command = [*shlex.split(os.environ[name]), str(self.number)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=180)

    def start(self):
        self.run("DRIVERS_START")
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                socket.create_connection((self.address, 9042), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def kill(self):
        self.run("DRIVERS_KILL")

    def stop(self):
        pass

    def end_of_log(self):
        return ""


def control(address, nodes):
    """Serves the control at the address, on a thread of its own; gives HOST:PORT."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                verb, number = self.path.strip("/").split("/")
                if verb not in ("kill", "start") or int(number) not in range(1, len(nodes) + 1):
                    raise ValueError(f"{self.path}: /kill/N or /start/N, N from 1 to {len(nodes)}")
                getattr(nodes[int(number) - 1], verb)()
                status, text = 200, "ok"
            except Exception as error:  # whatever it was, the scenario is to hear of it
                status, text = 500, str(error)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{address}:{server.server_port}"


def binary():
    path = pathlib.Path(os.environ.get("QUORATE_BIN", ROOT / "target/release/quorate"))
    if not path.is_file():
        sys.exit(f"cluster.py: {path} is not there: cargo build --release, or name another with QUORATE_BIN")
    return str(path)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    pid = os.getpid()
    network = f"127.{100 + pid // 250 % 100}.{1 + pid % 250}"
    with tempfile.TemporaryDirectory(prefix="quorate-drivers-") as name:
        folder = pathlib.Path(name)
        (folder / "scratch").mkdir()
        if "DRIVERS_NODES" in os.environ:
            addresses = os.environ["DRIVERS_NODES"].split(",")
            nodes = [ForeignNode(number, address) for number, address in enumerate(addresses, 1)]
        else:
            addresses = [f"{network}.{number}" for number in (1, 2, 3)]
            subprocess.run([HERE / "certificates", folder / "certificates", *addresses], check=True)
            os.environ.setdefault("DRIVERS_TLS_NODE", addresses[0])
            os.environ.setdefault("DRIVERS_CERTIFICATES", str(folder / "certificates"))
            nodes = [Node(binary(), folder, number, address, addresses[0]) for number, address in enumerate(addresses, 1)]
        try:
            if "DRIVERS_NODES" not in os.environ:
                for node in nodes:
                    node.start()
            environment = {
                "DRIVERS_DC": "dc1",
                **os.environ,
                "DRIVERS_NODES": ",".join(addresses),
                "DRIVERS_CONTROL": control(f"{network}.9", nodes),
                "DRIVERS_VALUES": str(HERE / "values.json"),
                "DRIVERS_FOLDER": str(folder / "scratch"),
            }
            status = subprocess.run(sys.argv[1:], env=environment).returncode
            if status != 0:
                for number, node in enumerate(nodes, 1):
                    print(f"-- the end of node {number}'s log:\n{node.end_of_log()}", file=sys.stderr)
        finally:
            for node in nodes:
                node.stop()
    sys.exit(status)


if __name__ == "__main__":
    main()
