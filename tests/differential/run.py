#!/usr/bin/env python3
"""Asks two CQL servers the same statements and shows where their answers differ.

    run.py ADDRESS_A ADDRESS_B [FILE...]     both servers' answers, compared with each other
    run.py --record ADDRESS FILE...          rewrites the answers in the files with this server's

An address is HOST or HOST:PORT. The statements are in crates/cql/tests/answers/*.txt: `> ` begins one, `~ ` one whose
values differ from run to run, and the lines after it are the answer: `ok`, `Kind: message`, or columns and rows. `ours: `
lines say where Quorate differs on purpose. Each file begins by making its own keyspace `k`, which is dropped before.
Needs the Apache Python driver (pip install cassandra-driver).
"""

import pathlib
import re
import sys

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra.protocol import ProtocolHandler, ResultMessage, read_int
from cassandra.query import SimpleStatement, tuple_factory

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
DATA = pathlib.Path(__file__).resolve().parents[2] / "crates/cql/tests/answers"


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
    port = int(port or 9042)
    profile = ExecutionProfile(
        load_balancing_policy=WhiteListRoundRobinPolicy([host]), row_factory=tuple_factory, request_timeout=60
    )
    cluster = Cluster([host], port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
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
    for row in result.current_rows:
        shown = ["*" if unstable else show_value(value, kind) for value, kind in zip(row, types)]
        lines.append("= " + " | ".join(shown))
    return lines


def ask(session, text, unstable=False):
    try:
        result = session.execute(SimpleStatement(text, fetch_size=None))
    except Exception as error:
        found = re.search(r'Error from server: code=([0-9a-f]{4}) \[[^]]*\] message="(.*)"', str(error), re.S)
        if found:
            kind = KINDS.get(int(found.group(1), 16), found.group(1))
            return [f"{kind}: {found.group(2)}".replace("\n", "\\n")]
        if type(error).__name__ == "AlreadyExists":
            return ["AlreadyExists: "]
        code = getattr(error, "code", None)
        return [f"{type(error).__name__}: {error}".replace("\n", "\\n") + (f" ({code})" if code else "")]
    if result.column_names is None:
        return ["ok"]
    return show_rows(result, unstable)


def statements(path):
    for line in path.read_text().splitlines():
        if line[:2] in ("> ", "~ "):
            yield line[2:], line[0] == "~"


def compare(one, other, paths):
    count = differ = 0
    for path in paths:
        for session in (one, other):
            ask(session, "DROP KEYSPACE IF EXISTS k")
        for text, unstable in statements(path):
            answers = [ask(session, text, unstable) for session in (one, other)]
            count += 1
            if answers[0] != answers[1]:
                differ += 1
                print(f"> {text}")
                for mark, answer in zip("AB", answers):
                    print("".join(f"{mark}: {line}\n" for line in answer), end="")
    print(f"{count} statements, {count - differ} with the same answer, {differ} with different ones")
    return differ


def record(session, paths):
    for path in paths:
        ask(session, "DROP KEYSPACE IF EXISTS k")
        lines = []
        for text, unstable in list(statements(path)):
            lines.append(("~ " if unstable else "> ") + text)
            lines.extend(ask(session, text, unstable))
        path.write_text("\n".join(lines) + "\n")


def main(arguments):
    if len(arguments) >= 3 and arguments[0] == "--record":
        record(connect(arguments[1]), [pathlib.Path(path) for path in arguments[2:]])
        return 0
    if len(arguments) < 2:
        print(__doc__)
        return 2
    paths = [pathlib.Path(path) for path in arguments[2:]] or sorted(DATA.glob("*.txt"))
    return 1 if compare(connect(arguments[0]), connect(arguments[1]), paths) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
