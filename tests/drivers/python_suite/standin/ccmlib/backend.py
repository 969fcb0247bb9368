"""What starts nodes: Quorate's binary, or a program that the caller names."""

import atexit
import os
import pathlib
import shutil
import signal
import subprocess
import time

from ccmlib import Unsupported, common

READY_S = 60
STOP_S = 20
# Options of a node, by Cassandra's names, with what to do with the value.
FLAGS = {
    "write_request_timeout": ("--write-timeout-ms", lambda value: value.removesuffix("ms")),
    "read_request_timeout": ("--read-timeout-ms", lambda value: value.removesuffix("ms")),
    "range_request_timeout": ("--range-timeout-ms", lambda value: value.removesuffix("ms")),
}


def make(name):
    tool = os.environ.get("QUORATE_SUITE_TOOL")
    return Tool(tool) if tool else Quorate(name)


class Quorate:
    """Nodes of this repository's binary, as processes of this one."""

    def __init__(self, name):
        self.name = name
        self.folder = pathlib.Path(os.environ["QUORATE_SUITE_WORK"]) / name
        self.processes = {}
        atexit.register(self.end)

    def is_running(self, node):
        process = self.processes.get(node.index)
        return process is not None and process.poll() is None

    def command(self, node, cluster):
        first = cluster.nodes["node1"]
        ports = {"--cql-port": node.port, "--internode-port": 7000 + node.offset}
        ports.update({"--grpc-port": 19044 + node.offset, "--http-port": 9180 + node.offset})
        # A rack and a token a node, as the real package has it.
        flags = {"--listen": node.address, "--dc": node.data_center, "--rack": "r1", "--vnodes": 1}
        flags["--seeds"] = f"{first.address}:{7000 + first.offset}"
        flags["--cluster-name"] = self.name
        flags["--data-dir"] = self.folder / node.name
        flags.update(ports)
        for key, value in {**cluster.options, **node.options}.items():
            if key == "native_transport_port":
                node.network_interfaces["binary"] = (node.address, int(value))
                flags["--cql-port"] = value
            elif key in FLAGS:
                flag, read = FLAGS[key]
                flags[flag] = read(str(value))
            else:
                raise Unsupported(f"the option {key}")
        words = [word for flag, value in flags.items() for word in (flag, str(value))]
        return [os.environ["QUORATE_SUITE_BINARY"], "start", *words]

    def start(self, nodes, cluster):
        self.folder.mkdir(parents=True, exist_ok=True)
        commands = [(node, self.command(node, cluster)) for node in nodes]
        for node, command in commands:
            if self.is_running(node):
                continue
            out = self.folder / f"{node.name}.out"
            with open(out, "wb") as stdout, open(self.folder / f"{node.name}.log", "ab") as stderr:
                self.processes[node.index] = subprocess.Popen(command, stdout=stdout, stderr=stderr)
            self.wait_ready(node, out)

    def wait_ready(self, node, out):
        end = time.monotonic() + READY_S
        while b"ready:" not in out.read_bytes():
            if not self.is_running(node) or time.monotonic() > end:
                log = (self.folder / f"{node.name}.log").read_text(errors="replace")
                raise RuntimeError(f"{node.name} is not ready: {log[-1000:]}")
            time.sleep(common.INTERVAL_S)

    def stop(self, nodes, gently):
        running = [self.processes[node.index] for node in nodes if self.is_running(node)]
        for process in running:
            process.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
        for process in running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def pause(self, node):
        self.processes[node.index].send_signal(signal.SIGSTOP)

    def resume(self, node):
        self.processes[node.index].send_signal(signal.SIGCONT)

    def wipe(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


class Tool:
    """Nodes of a program that takes `start N`, `stop`, `kill I`, `pause I`, `resume I` and `wipe`, and is told the data centres
    by `DCS`, more of cassandra.yaml by `EXTRA`, and the addresses' first three parts by `NET`."""

    def __init__(self, program):
        self.program = program
        self.running = set()
        self.call("wipe")
        atexit.register(self.call, "wipe")

    def call(self, *words, **env):
        subprocess.run([self.program, *words], check=True, env={**os.environ, "NET": "127.0.0", **env}, stdout=subprocess.DEVNULL)

    def is_running(self, node):
        return node.index in self.running

    def start(self, nodes, cluster):
        options = {**cluster.options}
        for node in nodes:
            options.update(node.options)
            if node.offset:
                raise Unsupported("several nodes on an address")
        extra = "\n".join(f"{key}: {value}" for key, value in options.items() if key != "native_transport_port")
        if "native_transport_port" in options:
            raise Unsupported("the option native_transport_port")
        if nodes:
            centers = " ".join(node.data_center for node in cluster.nodelist())
            self.call("start", str(max(node.index for node in nodes)), DCS=centers, EXTRA=extra)
        self.running |= {node.index for node in nodes}

    def stop(self, nodes, gently):
        for node in nodes:
            if node.index in self.running:
                self.call("kill", str(node.index))
                self.running.discard(node.index)

    def pause(self, node):
        self.call("pause", str(node.index))

    def resume(self, node):
        self.call("resume", str(node.index))

    def wipe(self):
        self.call("wipe")
        self.running.clear()
