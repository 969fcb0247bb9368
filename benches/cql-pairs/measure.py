"""What `pairs` and `against-cassandra` share: servers that are started and stopped by their process, the load, medians, tables, a plot.

Python 3 and its standard library; Linux. Whatever is started here is ended here, by its process id.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = ROOT / "target" / "cql-pairs" / "release"
READY_S = 60
STOP_S = 15


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """Builds null server and load, if cargo is there; needs nothing if they are up to date."""
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE, check=True)


def scratch(parent):
    """A folder for data, on the disk that is to be measured."""
    return pathlib.Path(tempfile.mkdtemp(prefix="cql-pairs-", dir=parent))


class Server:
    """A server of one or more processes. Subclasses say how each is started."""

    def __init__(self, name):
        self.name = name
        self.pids = []
        self.children = []

    def start(self, folder):
        raise NotImplementedError

    def hosts(self):
        raise NotImplementedError

    def spawn(self, command, log, env=None):
        """Starts a process and waits until it prints its line that begins with 'ready:'."""
        out = open(f"{log}.out", "w+")
        child = subprocess.Popen(command, stdout=out, stderr=open(f"{log}.err", "w"), stdin=subprocess.DEVNULL, env=env)
        self.children.append(child)
        self.pids.append(child.pid)
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if "ready:" in pathlib.Path(f"{log}.out").read_text():
                return
            if child.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"{self.name}: not ready: {pathlib.Path(f'{log}.err').read_text()[-2000:]}")

    def send(self, number):
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def pause(self):
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def stop(self):
        self.resume()
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children, self.pids = [], []


class Null(Server):
    def __init__(self, name, address, value_size):
        super().__init__(name)
        self.address, self.value_size = address, value_size

    def start(self, folder):
        self.spawn([BUILT / "null-cql", f"{self.address}:9042", str(self.value_size)], folder / self.name)

    def hosts(self):
        return [self.address]


class Quorate(Server):
    def __init__(self, name, addresses, binary=None, flags=()):
        super().__init__(name)
        self.addresses, self.flags = addresses, list(flags)
        self.binary = binary or os.environ.get("QUORATE", str(ROOT / "target" / "release" / "quorate"))

    def start(self, folder):
        for number, address in enumerate(self.addresses):
            data = folder / f"{self.name}-{number}"
            shutil.rmtree(data, ignore_errors=True)
            command = [self.binary, "start", "--listen", address, "--seeds", self.addresses[0]]
            command += ["--cluster-name", self.name, "--data-dir", str(data), *self.flags]
            self.spawn(command, folder / f"{self.name}-{number}-log")

    def hosts(self):
        return self.addresses


class Running(Server):
    """A server that somebody else has started: HOST[:PORT][,HOST...] and its process ids."""

    def __init__(self, name, hosts, pids):
        super().__init__(name)
        self.addresses, self.pids = hosts, pids

    def start(self, folder):
        pass

    def hosts(self):
        return self.addresses

    def pause(self):
        pass

    def resume(self):
        pass

    def stop(self):
        pass


class Cassandra(Server):
    """Nodes that the command in $CASSANDRA starts; README.md says what it must understand."""

    def __init__(self, name, nodes, net, sync, heap):
        super().__init__(name)
        self.nodes, self.net = nodes, net
        self.settings = {"SYNC": sync, "NET": net, "HEAP": heap}
        self.command = os.environ.get("CASSANDRA", "cassandra")

    def call(self, *arguments):
        subprocess.run([self.command, *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def start(self, folder):
        cache = folder / f"{self.name}-cache"
        cache.mkdir()
        installed = pathlib.Path(os.environ.get("CASSANDRA_CACHE", pathlib.Path.home() / ".cache" / "quorate-cassandra"))
        subprocess.run([self.command, "install"], check=True, stdout=subprocess.DEVNULL)
        for library in installed.glob("lib-*"):
            (cache / library.name).symlink_to(library)
        self.environment = {**os.environ, **self.settings, "CASSANDRA_CACHE": str(cache)}
        self.cache = cache
        try:
            self.call("start", str(self.nodes))
        finally:
            self.pids = [int(path.read_text()) for path in sorted(cache.glob("run/n*/pid"))]

    def hosts(self):
        return [f"{self.net}.{number}" for number in range(1, self.nodes + 1)]

    def stop(self):
        if not getattr(self, "cache", None):
            return
        self.resume()
        self.call("stop")
        self.pids = []
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache = None


def wait_until_open(server):
    """Until every node takes connections again, after a pause."""
    for host in server.hosts():
        address, _, port = host.partition(":")
        until = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection((address, int(port or 9042)), 1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise SystemExit(f"{server.name}: {host} takes no connections")
                time.sleep(0.1)


def load(server, workload, options):
    """Runs one load; gives its report."""
    command = [BUILT / "cql-load", workload, "--host", ",".join(server.hosts()), "--json"]
    for key, value in options.items():
        if value is True:
            command.append(f"--{key}")
        elif value not in (None, False):
            command += [f"--{key}", str(value)]
    if server.pids:
        command += ["--pids", ",".join(map(str, server.pids))]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{server.name}: cql-load {workload}: {done.stderr.strip()[-1000:]}")
    return json.loads(done.stdout) if done.stdout.strip() else None


class Runs:
    """Every report, by row title, server and round."""

    def __init__(self):
        self.reports = {}

    def add(self, title, server, report):
        self.reports.setdefault(title, {}).setdefault(server, []).append(report)
        say(f"  {title:24} {server:20} {report['ops_per_second']:>9,.0f}/s  p50 {report['p50_us'] / 1e3:.2f} ms  "
            f"p99 {report['p99_us'] / 1e3:.2f} ms  server {report['server_cpu_us'] or 0:.2f} us  "
            f"driver {report['driver_cpu_us']:.2f} us  failed {failures(report)}"
            + (f"  ({report['first_failure']})" if report["first_failure"] else ""))

    def summary(self, base):
        """A list of rows: medians, and ratios to the base server round by round."""
        rows = []
        for title, servers in self.reports.items():
            for name, reports in servers.items():
                def middle(key):
                    found = [report[key] for report in reports if report[key] is not None]
                    return statistics.median(found) if found else None

                others = servers.get(base, [])
                ratio = spread([ours["ops_per_second"] / theirs["ops_per_second"] for ours, theirs in zip(reports, others)])
                cpu = spread([ours["server_cpu_us"] / theirs["server_cpu_us"] for ours, theirs in zip(reports, others)
                              if ours["server_cpu_us"] and theirs["server_cpu_us"]])
                bound = spread([total(theirs) / total(ours) for ours, theirs in zip(reports, others) if total(ours) and total(theirs)])
                p99 = spread([ours["p99_us"] / theirs["p99_us"] for ours, theirs in zip(reports, others) if theirs["p99_us"]])
                rows.append({
                    "workload": title, "server": name, "rounds": len(reports), "rate": reports[0]["rate"],
                    "ops_per_second": spread([report["ops_per_second"] for report in reports]),
                    "p50_us": middle("p50_us"), "p99_us": middle("p99_us"), "p999_us": middle("p999_us"),
                    "server_cpu_us": middle("server_cpu_us"), "driver_cpu_us": middle("driver_cpu_us"),
                    "failed": sum(map(failures, reports)), "base": base,
                    "ratio": ratio, "bound_ratio": bound, "cpu_ratio": cpu, "p99_ratio": p99,
                })
        return rows


def total(report):
    """CPU an operation, server and driver: what bounds throughput where both share all cores."""
    return (report["server_cpu_us"] or 0) + report["driver_cpu_us"] if report["server_cpu_us"] else 0


def failures(report):
    return report["failed"] + report["wrong_rows"] + report["unanswered"]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)} if values else None


def ranged(values, form):
    return "–" if values is None else form(values["median"]) + f" ({form(values['min'])}–{form(values['max'])})"


def number(value, form):
    return "–" if value is None else form(value)


def markdown(rows, base):
    """The table, medians with the least and greatest of the rounds."""
    two, one = lambda value: f"{value:.2f}", lambda value: f"{value:.1f}"
    thousands, millis = lambda value: f"{value / 1e3:,.1f} k", lambda value: f"{value / 1e3:.2f}"
    lines = [
        f"| what | server | ops/s | of {base} | by CPU | p50 ms | p99 ms | p99.9 ms | p99 of {base} | server CPU µs | of {base} | driver CPU µs | failed |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        own = row["server"] == base
        cells = [
            row["workload"], row["server"], ranged(row["ops_per_second"], thousands),
            "1" if own else ranged(row["ratio"], two),
            "1" if own else number(row["bound_ratio"] and row["bound_ratio"]["median"], two),
            number(row["p50_us"], millis), number(row["p99_us"], millis), number(row["p999_us"], millis),
            "1" if own else number(row["p99_ratio"] and row["p99_ratio"]["median"], two),
            number(row["server_cpu_us"], two), "1" if own else number(row["cpu_ratio"] and row["cpu_ratio"]["median"], two),
            number(row["driver_cpu_us"], one), str(row["failed"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


COLOURS = ["#4c6ef5", "#f08c00", "#2b8a3e", "#c2255c", "#868e96", "#7048e8"]


def svg(rows, title):
    """Bars of throughput, a group a workload, with the least and greatest of the rounds."""
    names = list(dict.fromkeys(row["server"] for row in rows))
    groups = list(dict.fromkeys(row["workload"] for row in rows if row["rate"] is None))
    top = max((row["ops_per_second"]["max"] for row in rows if row["rate"] is None), default=1)
    bar, left, width = 16, 170, 560
    parts, y = [], 50
    for group in groups:
        of_group = [row for row in rows if row["workload"] == group and row["rate"] is None]
        parts.append(f'<text x="{left - 8}" y="{y + bar * len(of_group) / 2 + 4}" text-anchor="end">{group}</text>')
        for row in of_group:
            ops = row["ops_per_second"]
            x, low, high = (ops[key] / top * width for key in ("median", "min", "max"))
            colour = COLOURS[names.index(row["server"]) % len(COLOURS)]
            parts.append(f'<rect x="{left}" y="{y}" width="{x:.1f}" height="{bar - 3}" fill="{colour}"/>')
            parts.append(f'<path d="M{left + low:.1f} {y + 6.5}H{left + high:.1f}" stroke="#000" stroke-width="1.2"/>')
            parts.append(f'<text x="{left + max(high, x) + 6:.1f}" y="{y + 11}">{ops["median"] / 1e3:,.1f} k/s</text>')
            y += bar
        y += 14
    legend = left
    for place, name in enumerate(names):
        parts.append(f'<rect x="{legend}" y="28" width="11" height="11" fill="{COLOURS[place % len(COLOURS)]}"/>')
        parts.append(f'<text x="{legend + 15}" y="38">{name}</text>')
        legend += 40 + 7 * len(name)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 110}" height="{y + 10}" font-family="sans-serif" font-size="12">'
    return f'{head}<rect width="100%" height="100%" fill="#fff"/><text x="{left}" y="18" font-size="14">{title}</text>{"".join(parts)}</svg>\n'


def write(out, rows, runs, title, notes, base):
    """Writes OUT.json, OUT.md and OUT.svg, and prints the table."""
    text = f"{notes}\n\n{markdown(rows, base)}"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps({"notes": notes, "summary": rows, "runs": runs.reports}, indent=1) + "\n")
    out.with_suffix(".md").write_text(text)
    out.with_suffix(".svg").write_text(svg(rows, title))
    print(text)
    say(f"written: {out}.json, .md, .svg")


def machine():
    """Words on what it ran on."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown processor")
    return f"{os.cpu_count()} cores ({model}), load of the machine before: {os.getloadavg()[0]:.1f}"
