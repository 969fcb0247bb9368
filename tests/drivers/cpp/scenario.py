"""The scenario of tests/drivers/README.md through ScyllaDB's C++ driver, as the package `acsylla` has it for Python."""

import asyncio
import os
import pathlib
import sys
import time

import acsylla
from acsylla import errors
from values import text
from world import (
    DATA_CENTER, NODES, PAGE, ROWS, ROWS_OF_BATCH, ROWS_OF_PARTITION, SKIP, TYPES, VALUES, certificate, check, control, owner,
    schema_statements,
)  # fmt: skip

KEYSPACE = "d_cpp"
IN_FLIGHT = 8
#: What the package cannot read, with the reason; the step says so.
UNREADABLE = {
    "decimal": "the package decodes its bytes as text",
    "time": "the package keeps microseconds, and the value has nanoseconds",
    "vector<text, 2>": "the package gives its bytes alone",
}


async def until(what, seconds, look):
    """Looks again until it is so, or the time is over."""
    deadline = time.monotonic() + seconds
    while not await look():
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        await asyncio.sleep(0.1)


class Scenario:
    def __init__(self):
        self.heard = set()
        self.session = None

    def cluster(self, node, **more):
        return acsylla.create_cluster(
            [node],
            consistency="QUORUM",
            load_balance_dc_aware=DATA_CENTER,
            request_timeout=30,
            constant_reconnect_delay_ms=500,
            log_level="critical",
            **more,
        )

    async def query(self, statement, consistency=None, **more):
        return await self.session.execute(acsylla.create_statement(statement, consistency=consistency, **more))

    async def one(self, statement):
        return (await self.query(statement)).first().as_list()

    async def connect(self):
        cluster = self.cluster(NODES[0], host_listener_callback=lambda event, host: self.heard.add((event.name, host)))
        self.session = await cluster.create_session()
        release = (await self.one("SELECT release_version FROM system.local"))[0]
        check(release[0].isdigit(), f"release_version is '{release}'")

    async def nodes(self):
        """The package has no list of hosts, only what the listener hears of them."""

        async def known():
            return {("UP", node) for node in NODES} <= self.heard

        await until("all three are known", 30, known)

    async def schema(self):
        for statement in schema_statements(KEYSPACE):
            if statement.startswith("USE "):
                await self.session.use_keyspace(KEYSPACE)
            else:
                # The driver waits for agreement by itself.
                await self.query(statement)
        versions = [await self.one("SELECT schema_version FROM system.local")]
        versions += [row.as_list() for row in (await self.query("SELECT schema_version FROM system.peers")).all()]
        check(all(version == versions[0] for version in versions), f"the nodes have different schemas: {versions}")

        async def known():
            metadata = self.session.get_metadata()
            if KEYSPACE not in metadata.get_keyspaces() or "batched" not in metadata.get_tables(KEYSPACE):
                return False
            return len(TYPES) <= len(metadata.get_user_types(KEYSPACE))

        await until("the driver knows the schema", 30, known)

    async def types(self):
        readable = [value for value in VALUES if value["type"] not in UNREADABLE]
        for value in VALUES:
            if value not in readable:
                print(f"cpp: {value['type']} {value['literal']} is not read: {UNREADABLE[value['type']]}")
        names = ", ".join(value["name"] for value in readable)
        literals = ", ".join(value["literal"] for value in readable)
        await self.query(f"INSERT INTO {KEYSPACE}.every_type (id, {names}) VALUES (1, {literals})")
        select = await self.session.create_prepared(f"SELECT {names} FROM {KEYSPACE}.every_type WHERE id = ?")
        markers = ", ".join("?" for _ in readable)
        insert = await self.session.create_prepared(
            f"INSERT INTO {KEYSPACE}.every_type (id, {names}) VALUES (2, {markers})"
        )
        await self.session.execute(insert.bind(await self.read(select, 1, readable)))
        await self.read(select, 2, readable)

    async def read(self, select, row_id, values):
        row = (await self.session.execute(select.bind([row_id]))).first().as_list()
        for value, found in zip(values, row):
            found = text(found, value["type"])
            # The package has no notion of a number of no bytes.
            accepted = [value["text"], "null"] if value["text"] == "empty" else [value["text"]]
            what = f"row {row_id}: {value['type']} {value['literal']}"
            check(found in accepted, f"{what} came as {found}, not {value['text']}")
        return row

    async def prepared(self):
        """By v4 this driver keeps the columns that it heard of first, unless the server sends it others with the rows: with a Cassandra it
        does not see the new one."""
        insert = await self.session.create_prepared(f"INSERT INTO {KEYSPACE}.altered (k, v) VALUES (?, ?)")
        select = await self.session.create_prepared(f"SELECT * FROM {KEYSPACE}.altered WHERE k = ?")

        async def read(key):
            return (await self.session.execute(select.bind([key]))).first().as_dict()

        await self.session.execute(insert.bind([1, 2]))
        row = await read(1)
        check(row == {"k": 1, "v": 2}, f"before: {row}")
        await self.query(f"ALTER TABLE {KEYSPACE}.altered ADD w text")
        await self.query(f"UPDATE {KEYSPACE}.altered SET w = 'new' WHERE k = 1")
        await self.session.execute(insert.bind([2, 3]))
        for _ in range(6):
            row = await read(1)
            check(row in ({"k": 1, "v": 2, "w": "new"}, {"k": 1, "v": 2}), f"after: {row}")
        row = await read(2)
        check(row in ({"k": 2, "v": 3, "w": None}, {"k": 2, "v": 3}), f"the other row: {row}")

    async def batches(self):
        insert = await self.session.create_prepared(f"INSERT INTO {KEYSPACE}.batched (p, c, v) VALUES (?, ?, ?)")
        batch = acsylla.create_batch_unlogged()
        for number in range(20):
            batch.add_statement(insert.bind([number % 4, number, f"row {number}"]))
        batch.set_timestamp(1_234_567)
        await self.session.execute_batch(batch)
        batch = acsylla.create_batch_unlogged()
        batch.add_statement(acsylla.create_statement(f"INSERT INTO {KEYSPACE}.batched (p, c, v) VALUES (1, 100, 'plain')"))
        batch.add_statement(acsylla.create_statement(f"DELETE FROM {KEYSPACE}.batched WHERE p = 1 AND c = 1"))
        await self.session.execute_batch(batch)
        answer = await self.query(f"SELECT c, v, writetime(v) FROM {KEYSPACE}.batched WHERE p = 1")
        rows = [row.as_tuple() for row in answer.all()]
        expected = [(5, "row 5"), (9, "row 9"), (13, "row 13"), (17, "row 17"), (100, "plain")]
        check([row[:2] for row in rows] == expected, f"partition 1 holds {rows}")
        check(rows[0][2] == 1_234_567, f"the batch's timestamp became {rows[0][2]}")

    async def paging(self):
        insert = await self.session.create_prepared(f"INSERT INTO {KEYSPACE}.paged (p, c) VALUES (?, ?)")
        work = iter(range(0, ROWS, ROWS_OF_BATCH))

        async def writer():
            for first in work:
                batch = acsylla.create_batch_unlogged()
                for row in range(first, first + ROWS_OF_BATCH):
                    batch.add_statement(insert.bind([row // ROWS_OF_PARTITION, row]))
                await self.session.execute_batch(batch)

        await asyncio.gather(*(writer() for _ in range(IN_FLIGHT)))
        seen, pages, state = [0] * ROWS, 0, None
        while pages == 0 or state is not None:
            answer = await self.query(f"SELECT p, c FROM {KEYSPACE}.paged", page_size=PAGE, page_state=state)
            for p, c in (row.as_tuple() for row in answer.all()):
                check(p == c // ROWS_OF_PARTITION, f"row {c} came from partition {p}")
                seen[c] += 1
            state = answer.page_state() if answer.has_more_pages() else None
            pages += 1
        check(all(times == 1 for times in seen), f"{seen.count(0)} rows skipped, {sum(t > 1 for t in seen)} repeated")
        check(pages > ROWS / PAGE, f"{ROWS} rows came in {pages} pages of {PAGE}")

    async def ring(self):
        tokens = {}
        for _ in range(1000):
            address, its = await self.one("SELECT rpc_address, tokens FROM system.local")
            tokens.update((int(token), address) for token in its)
            if len(set(tokens.values())) == 3:
                return sorted(tokens.items())
        check(False, f"a thousand questions reached only {set(tokens.values())}")

    async def routing(self):
        """The package does not give the coordinator of a request: it is read from the request's trace."""
        await self.query("DROP KEYSPACE IF EXISTS d_cpp_one")
        await self.query(
            "CREATE KEYSPACE d_cpp_one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        await self.query("CREATE TABLE d_cpp_one.routed (a text, b int, v int, PRIMARY KEY ((a, b)))")
        insert = await self.session.create_prepared("INSERT INTO d_cpp_one.routed (a, b, v) VALUES (?, ?, ?)")
        select = await self.session.create_prepared("SELECT v, token(a, b) FROM d_cpp_one.routed WHERE a = ? AND b = ?")
        ring, coordinators = await self.ring(), set()
        for number in range(60):
            written = await self.traced(insert.bind([f"key {number}", number, number]))
            read = await self.traced(select.bind([f"key {number}", number]))
            value, token = read.first().as_list()
            check(value == number, f"row {number} holds {value}")
            asked = {(await self.trace(answer))[0] for answer in (written, read)}
            right = owner(ring, token)
            check(asked == {right}, f"token {token} is {right}'s, but {asked} were asked")
            coordinators |= asked
        check(len(coordinators) == 3, f"60 keys went to {coordinators} alone")

    async def traced(self, statement):
        statement.set_tracing(True)
        return await self.session.execute(statement)

    async def trace(self, answer):
        """The coordinator and the duration of a traced request, once they are there."""
        check(answer.tracing_id is not None, "the answer has no tracing id")
        found = []

        async def ended():
            statement = f"SELECT coordinator, duration FROM system_traces.sessions WHERE session_id = {answer.tracing_id}"
            row = (await self.query(statement)).first()
            found[:] = row.as_list() if row is not None else [None, None]
            return found[1] is not None

        await until("the trace is there", 30, ended)
        return found

    async def errors(self):
        await self.refused(errors.CassErrorServerSyntaxError, "SELEC 1")
        await self.refused(errors.CassErrorServerInvalidQuery, f"SELECT * FROM {KEYSPACE}.no_such_table")
        await self.query("DROP KEYSPACE IF EXISTS d_cpp_far")
        await self.query(
            "CREATE KEYSPACE d_cpp_far WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 5}"
        )
        create = "CREATE TABLE d_cpp_far.t (k int PRIMARY KEY)"
        await self.query(create)
        await self.refused(errors.CassErrorServerAlreadyExists, create)
        await self.refused(errors.CassErrorServerUnavailable, "INSERT INTO d_cpp_far.t (k) VALUES (1)", acsylla.Consistency.ALL)

    async def refused(self, kind, statement, consistency=None):
        try:
            await self.query(statement, consistency)
        except kind:
            return
        check(False, f"'{statement}' succeeded")

    async def tracing(self):
        answer = await self.traced(acsylla.create_statement(f"SELECT * FROM {KEYSPACE}.batched WHERE p = 1"))
        coordinator, _ = await self.trace(answer)
        check(coordinator in NODES, f"the trace's coordinator is {coordinator}")
        statement = f"SELECT activity, source FROM system_traces.events WHERE session_id = {answer.tracing_id}"

        async def whole():
            events = [row.as_list() for row in (await self.query(statement)).all()]
            return len(events) >= 2 and all(activity and source for activity, source in events)

        await until("two events with text and source", 30, whole)

    async def down_and_up(self):
        victim = NODES[2]
        self.heard.clear()
        await asyncio.to_thread(control, "kill", 3)

        async def down():
            return ("DOWN", victim) in self.heard

        await until("DOWN is heard", 60, down)
        write = await self.session.create_prepared(
            f"INSERT INTO {KEYSPACE}.batched (p, c, v) VALUES (9, ?, 'while one is down')"
        )
        for number in range(50):
            await self.session.execute(write.bind([number]))
        await asyncio.to_thread(control, "start", 3)

        async def up():
            return ("UP", victim) in self.heard

        async def asked():
            return (await self.one("SELECT rpc_address FROM system.local"))[0] == victim

        await until("UP is heard", 120, up)
        await until("the node is asked again", 60, asked)

    async def tls(self):
        await self.by_tls("ca.pem")
        try:
            await self.by_tls("other-ca.pem")
        except errors.CassException:
            return
        check(False, "a certificate of another authority was accepted")

    async def by_tls(self, authority):
        cluster = self.cluster(
            os.environ["DRIVERS_TLS_NODE"],
            ssl_enabled=True,
            ssl_trusted_cert=pathlib.Path(certificate(authority)).read_text(),
            ssl_verify_flags=acsylla.SSLVerifyFlags.PEER_IDENTITY,
        )
        session = await cluster.create_session()
        answer = await session.execute(acsylla.create_statement("SELECT cluster_name FROM system.local"))
        check(answer.first().as_list()[0], "no name")
        await session.close()


async def main():
    scenario = Scenario()
    steps = "connect,nodes,schema,types,prepared,batches,paging,routing,errors,tracing,down and up,tls"
    for name in steps.split(","):
        if name in SKIP or name == "routing" and "tracing" in SKIP:
            print(f"cpp: {name} skipped")
            continue
        try:
            await getattr(scenario, name.replace(" ", "_"))()
        except Exception as error:
            print(f"cpp: {name}: {error!r}", file=sys.stderr)
            raise
        print(f"cpp: {name} ok", flush=True)
    await scenario.session.close()


if __name__ == "__main__":
    asyncio.run(main())
