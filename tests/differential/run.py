#!/usr/bin/env python3
"""Asks two CQL servers the same statements and shows where their answers differ.

    run.py A B [FILE...]                     the kept statements, and what their files say of differences
    run.py --generated N [--seed S] A B      N statements that a seed makes (generate.py), over types, restrictions and functions
    run.py --record A FILE...                rewrites the answers in the files with this server's

A is the server to be like (Cassandra), B the one to judge (Quorate); an address is HOST or HOST:PORT. The kept statements
are in crates/cql/tests/answers/*.txt, in cassandra_answers.txt beside them and in crates/node/tests/group_pages.txt: `> ` begins one, `~ ` one whose values
differ from run to run, and the lines after it are the answer: `ok`, `Kind: message`, or columns and rows. `ours: ` lines
say where Quorate differs on purpose; differences.txt here says it for kinds of statements. Each file of answers/ begins by
making its own keyspace `k`, which is dropped before; the statements of cassandra_answers.txt each start from the same tables.

Prints every difference that is listed nowhere, and the counts; ends with status 1 if there is one.
Needs the Apache Python driver (pip install cassandra-driver).
"""

import argparse
import pathlib
import re
import sys

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra.protocol import ProtocolHandler, ResultMessage, read_int
from cassandra.query import SimpleStatement, tuple_factory

import generate

KINDS = {
    0x0000: "Server",
    0x000A: "Protocol",
    0x1400: "FunctionFailure",
    0x2000: "Syntax",
    0x2100: "Unauthorized",
    0x2200: "Invalid",
    0x2300: "Configuration",
    0x2400: "AlreadyExists",
}
WHOLE_NUMBERS = ("int", "bigint", "smallint", "tinyint", "varint", "counter")
HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE.parents[1] / "crates/cql/tests"
# Pages of groups, which only a node makes.
GROUPS = HERE.parents[1] / "crates/node/tests/group_pages.txt"
# The tables that each statement of cassandra_answers.txt finds.
TABLES = [
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE k.t (a int, b int, c int, d text, v int, l list<int>, m map<text, int>, z set<text>, s int static,"
    " fl frozen<list<int>>, PRIMARY KEY ((a), b, c)) WITH CLUSTERING ORDER BY (b DESC, c ASC)",
    "CREATE TABLE k.p (a int, b int, v text, PRIMARY KEY ((a, b)))",
]


class RawResult(ResultMessage):
    """Keeps values as bytes: what is compared is what is sent."""

    def recv_results_rows(self, f, protocol_version, user_type_map, result_metadata, column_encryption_policy):
        self.recv_results_metadata(f, user_type_map)
        columns = self.column_metadata or result_metadata
        count = read_int(f)
        self.parsed_rows = [tuple(self.recv_row(f, len(columns))) for _ in range(count)]
        self.column_names = [column[2] for column in columns]
        self.column_types = [column[3] for column in columns]


class RawHandler(ProtocolHandler):
    message_types_by_opcode = {**ProtocolHandler.message_types_by_opcode, RawResult.opcode: RawResult}


def connect(address):
    host, _, port = address.partition(":")
    profile = ExecutionProfile(
        load_balancing_policy=WhiteListRoundRobinPolicy([host]), row_factory=tuple_factory, request_timeout=60
    )
    cluster = Cluster(
        [host], port=int(port or 9042), execution_profiles={EXEC_PROFILE_DEFAULT: profile}, schema_metadata_enabled=False
    )
    session = cluster.connect()
    session.client_protocol_handler = RawHandler
    return session


def show_value(value, cql_type):
    if value is None:
        return "null"
    if cql_type in ("text", "ascii", "varchar"):
        return "'" + value.decode("utf-8", "backslashreplace").replace("\\", "\\\\").replace("\n", "\\n") + "'"
    if cql_type in WHOLE_NUMBERS and value:
        return str(int.from_bytes(value, "big", signed=True))
    if cql_type == "boolean" and value:
        return "true" if value[0] else "false"
    return "0x" + value.hex()


def show_rows(result, unstable):
    types = [column.cql_parameterized_type().replace("varchar", "text") for column in result.column_types]
    lines = ["| " + " | ".join(f"{name} {kind}" for name, kind in zip(result.column_names, types))]
    while True:
        for row in result.current_rows:
            shown = ["*" if unstable else show_value(value, kind) for value, kind in zip(row, types)]
            lines.append("= " + " | ".join(shown))
        if not result.has_more_pages:
            return lines
        lines.append("-- next page")
        result.fetch_next_page()


def show_error(error):
    found = re.search(r'Error from server: code=([0-9a-f]{4}) \[[^]]*\] message="(.*)"', str(error), re.S)
    if found:
        kind = KINDS.get(int(found.group(1), 16), found.group(1))
        return [f"{kind}: {found.group(2)}".replace("\n", "\\n")]
    if type(error).__name__ == "AlreadyExists":
        return ["AlreadyExists: "]
    if type(error).__name__ == "FunctionFailure":
        where = f"{error.keyspace}.{error.function}({', '.join(error.arg_types)})"
        return [f"FunctionFailure: {where}".replace("\n", "\\n")]
    code = getattr(error, "code", None)
    return [f"{type(error).__name__}: {error}".replace("\n", "\\n") + (f" ({code})" if code else "")]


def ask(session, text, unstable=False, page_size=None):
    """The answer as lines: `warning: ` ones first. A comment at the statement's beginning may say how many rows a page has."""
    paged = re.match(r"/\* (\d+) rows a page \*/ ", text)
    if paged:
        page_size = int(paged.group(1))
    future = session.execute_async(SimpleStatement(text, fetch_size=page_size))
    try:
        result = future.result()
        answer = ["ok"] if result.column_names is None else show_rows(result, unstable)
    except Exception as error:
        answer = show_error(error)
    return [f"warning: {warning}" for warning in future.warnings or []] + answer


def statements(path):
    """(text, whether its values are unstable, the lines `ours: `) of each statement of a file."""
    found = []
    for line in path.read_text().splitlines():
        if line[:2] in ("> ", "~ "):
            found.append((line[2:].replace("\\n", "\n"), line[0] == "~", []))
        elif line.startswith("ours: ") and found:
            found[-1][2].append(line[6:])
    return found


def normal(line):
    """Without what differs everywhere: the order of functions' signatures, and the place of the end, which Cassandra lacks."""
    line = re.sub(r"^(Syntax: line )-?\d+:-?\d+ (.* input '<EOF>'.*)$", r"\1<end> \2", line)
    line = re.sub(r" \(known type signatures: .*\)$", "", line)
    return re.sub(r"(can be matched by following signatures: ).*(\): use type casts)", r"\1…\2", line)


class Tally:
    """Counts, and shows what is listed nowhere."""

    def __init__(self):
        self.equal = self.unlisted = 0
        self.listed = {}
        self.rules = []
        reason = ""
        for line in (HERE / "differences.txt").read_text().splitlines():
            if line.startswith("# ") or not line.strip():
                continue
            if not line.startswith("  "):
                reason = line.strip()
                self.rules.append((reason, {}))
                continue
            key, _, pattern = line.strip().partition(" ")
            self.rules[-1][1][key] = re.compile(pattern)

    def reason(self, text, one, other):
        """The listed reason why two answers differ, if there is one."""
        shown = {"statement": text, "a": "\n".join(one), "b": "\n".join(other)}
        for reason, patterns in self.rules:
            if all(pattern.search(shown[key]) for key, pattern in patterns.items()):
                return reason
        return None

    def take(self, text, one, other, ours=()):
        one, other = [normal(line) for line in one], [normal(line) for line in other]
        if one == other:
            self.equal += 1
            return
        plain = [line for line in other if not line.startswith("warning: ")]
        joined = [[line for line in answer if line != "-- next page"] for answer in (one, other)]
        if joined[0] == joined[1]:
            reason = "the same rows, in pages that end elsewhere"
            self.listed[reason] = self.listed.get(reason, 0) + 1
            return
        reason = "kept with the statement" if plain == [normal(line) for line in ours] else self.reason(text, one, other)
        if reason:
            self.listed[reason] = self.listed.get(reason, 0) + 1
            return
        self.unlisted += 1
        print(f"> {text}")
        for mark, answer in zip("AB", (one, other)):
            print("".join(f"{mark}: {line}\n" for line in answer), end="")

    def finish(self):
        for reason, count in sorted(self.listed.items()):
            print(f"{count:6} listed: {reason}")
        listed = sum(self.listed.values())
        total = self.equal + listed + self.unlisted
        print(f"{total} statements: {self.equal} equal, {listed} listed differences, {self.unlisted} unlisted")
        return 1 if self.unlisted else 0


def compare_file(sessions, path, tally):
    for session in sessions:
        ask(session, "DROP KEYSPACE IF EXISTS k")
    for text, unstable, ours in statements(path):
        tally.take(text, *(ask(session, text, unstable) for session in sessions), ours)


def compare_errors(sessions, path, tally):
    """Each statement from the same tables: they are made again after one that did something."""
    fresh = False
    for text, _, ours in statements(path):
        if not fresh:
            for session in sessions:
                for name in ("k", "k2", "foo"):
                    ask(session, f"DROP KEYSPACE IF EXISTS {name}")
                for table in TABLES:
                    ask(session, table)
        answers = [ask(session, text, page_size=5000) for session in sessions]
        answers = [[line if line[:2] != "= " else "ok" for line in answer] for answer in answers]
        fresh = all(re.match(r"[A-Z]\w+: ", answer[-1]) for answer in answers) or text.upper().startswith("SELECT")
        tally.take(text, *answers, ours)


def compare_generated(sessions, count, seed, tally):
    for text, page_size in generate.statements(count, seed):
        tally.take(text, *(ask(session, text, page_size=page_size) for session in sessions))


def record(session, paths):
    for path in paths:
        ask(session, "DROP KEYSPACE IF EXISTS k")
        lines = []
        for text, unstable, _ in statements(path):
            lines.append(("~ " if unstable else "> ") + text.replace("\n", "\\n"))
            lines.extend(line for line in ask(session, text, unstable) if not line.startswith("warning: "))
        path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--generated", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS [FILE]")
    arguments = parser.parse_args()
    first, *rest = arguments.addresses
    if arguments.record:
        record(connect(first), [pathlib.Path(path) for path in rest])
        return 0
    if not rest:
        parser.error("two addresses are wanted")
    sessions = (connect(first), connect(rest[0]))
    tally = Tally()
    if arguments.generated:
        compare_generated(sessions, arguments.generated, arguments.seed, tally)
        return tally.finish()
    paths = [pathlib.Path(path) for path in rest[1:]]
    for session in sessions:
        ask(session, "DROP KEYSPACE IF EXISTS g")
    for path in paths or [*sorted((CASES / "answers").glob("*.txt")), CASES / "cassandra_answers.txt", GROUPS]:
        compare = compare_errors if path.name == "cassandra_answers.txt" else compare_file
        compare(sessions, path, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
