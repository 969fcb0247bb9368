"""The scenario of tests/drivers/README.md through the Apache Python driver, by the protocol's versions 4 and 5."""

import os
import ssl
import sys

from cassandra import AlreadyExists, ConsistencyLevel, InvalidRequest, Unavailable
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.concurrent import execute_concurrent
from cassandra.policies import DCAwareRoundRobinPolicy, HostStateListener, TokenAwarePolicy
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement
from values import text
from world import (
    DATA_CENTER, NODES, PAGE, ROWS, ROWS_OF_BATCH, ROWS_OF_PARTITION, SKIP, VALUES, certificate, check, control, owner,
    schema_statements, until,
)  # fmt: skip


class Heard(HostStateListener):
    """What the driver said of hosts."""

    def __init__(self):
        self.events = set()

    def on_up(self, host):
        self.events.add(("UP", host.address))

    def on_down(self, host):
        self.events.add(("DOWN", host.address))

    def on_add(self, host):
        pass

    def on_remove(self, host):
        pass


class Scenario:
    def __init__(self, version):
        self.version, self.keyspace, self.heard = version, f"d_python{version}", Heard()
        self.cluster = self.session = None

    def run(self, steps):
        for name in steps:
            if name in SKIP:
                print(f"python, version {self.version}: {name} skipped")
                continue
            try:
                getattr(self, name.replace(" ", "_"))()
            except Exception as error:
                print(f"python, version {self.version}: {name}: {error!r}", file=sys.stderr)
                raise
            print(f"python, version {self.version}: {name} ok", flush=True)

    def connect(self):
        profile = ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(DATA_CENTER)),
            consistency_level=ConsistencyLevel.QUORUM,
            request_timeout=30,
        )
        self.cluster = Cluster(
            NODES[:1],
            protocol_version=self.version,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=30,
        )
        self.session = self.cluster.connect()
        self.cluster.register_listener(self.heard)
        release = self.session.execute("SELECT release_version FROM system.local").one()[0]
        check(release[0].isdigit(), f"release_version is '{release}'")

    def nodes(self):
        hosts = self.cluster.metadata.all_hosts()
        check(sorted(host.address for host in hosts) == sorted(NODES), f"the driver knows {hosts}")
        check(all(host.datacenter == DATA_CENTER for host in hosts), f"{hosts} are in other data centres")
        check(len(self.cluster.metadata.token_map.ring) == 48, "the ring has not sixteen tokens a node")

    def schema(self):
        for statement in schema_statements(self.keyspace):
            future = self.session.execute_async(statement)
            future.result()
            check(future.is_schema_agreed, f"no agreement after '{statement}'")
        self.session.set_keyspace(self.keyspace)
        check(self.cluster.control_connection.wait_for_schema_agreement(), "the nodes have different schemas")
        keyspace = self.cluster.metadata.keyspaces[self.keyspace]
        table = keyspace.tables["batched"]
        keys = [[column.name for column in key] for key in (table.partition_key, table.clustering_key)]
        check(keys == [["p"], ["c"]], f"another primary key: {keys}")
        check(f"CREATE TABLE {self.keyspace}.batched" in table.export_as_string(), "another CREATE TABLE")
        check("person" in keyspace.user_types, "the driver does not know the type")

    def types(self):
        names = ", ".join(value["name"] for value in VALUES)
        literals = ", ".join(value["literal"] for value in VALUES)
        self.session.execute(f"INSERT INTO every_type (id, {names}) VALUES (1, {literals})")
        select = self.session.prepare(f"SELECT {names} FROM every_type WHERE id = ?")
        insert = self.session.prepare(
            f"INSERT INTO every_type (id, {names}) VALUES (2, {', '.join('?' for _ in VALUES)})"
        )
        self.session.execute(insert, self.read(select, 1))
        self.read(select, 2)

    def read(self, select, row_id):
        row = self.session.execute(select, [row_id]).one()
        for value, found in zip(VALUES, map(text, row)):
            # The driver has no notion of a number of no bytes, unless it is told to have it.
            accepted = [value["text"], "null"] if value["text"] == "empty" else [value["text"]]
            what = f"row {row_id}: {value['type']} {value['literal']}"
            check(found in accepted, f"{what} came as {found}, not {value['text']}")
        return row

    def prepared(self):
        insert = self.session.prepare("INSERT INTO altered (k, v) VALUES (?, ?)")
        select = self.session.prepare("SELECT * FROM altered WHERE k = ?")
        self.session.execute(insert, (1, 2))
        row = self.session.execute(select, [1]).one()._asdict()
        check(row == {"k": 1, "v": 2}, f"before: {row}")
        self.session.execute("ALTER TABLE altered ADD w text")
        self.session.execute("UPDATE altered SET w = 'new' WHERE k = 1")
        self.session.execute(insert, (2, 3))
        for _ in range(6):
            row = self.session.execute(select, [1]).one()._asdict()
            check(row == {"k": 1, "v": 2, "w": "new"}, f"after: {row}")
        row = self.session.execute(select, [2]).one()._asdict()
        check(row == {"k": 2, "v": 3, "w": None}, f"the other row: {row}")

    def batches(self):
        insert = self.session.prepare("INSERT INTO batched (p, c, v) VALUES (:partition, :row, :value)")
        batch = BatchStatement(BatchType.UNLOGGED)
        for number in range(20):
            batch.add(insert, {"partition": number % 4, "row": number, "value": f"row {number}"})
        self.session.execute(batch)
        batch = BatchStatement(BatchType.UNLOGGED)
        batch.add("INSERT INTO batched (p, c, v) VALUES (1, 100, 'plain') USING TIMESTAMP 1234567")
        batch.add("DELETE FROM batched WHERE p = 1 AND c = 1")
        self.session.execute(batch)
        rows = [tuple(row) for row in self.session.execute("SELECT c, v FROM batched WHERE p = 1")]
        expected = [(5, "row 5"), (9, "row 9"), (13, "row 13"), (17, "row 17"), (100, "plain")]
        check(rows == expected, f"partition 1 holds {rows}")
        written = self.session.execute("SELECT writetime(v) FROM batched WHERE p = 1 AND c = 100").one()[0]
        check(written == 1_234_567, f"the batch's timestamp became {written}")

    def paging(self):
        insert = self.session.prepare("INSERT INTO paged (p, c) VALUES (?, ?)")

        def batch(first):
            statement = BatchStatement(BatchType.UNLOGGED)
            for row in range(first, first + ROWS_OF_BATCH):
                statement.add(insert, (row // ROWS_OF_PARTITION, row))
            return statement

        batches = ((batch(first), ()) for first in range(0, ROWS, ROWS_OF_BATCH))
        execute_concurrent(self.session, batches, concurrency=8)
        answer = self.session.execute(SimpleStatement("SELECT p, c FROM paged", fetch_size=PAGE))
        seen, pages = [0] * ROWS, 1
        while True:
            for p, c in answer.current_rows:
                check(p == c // ROWS_OF_PARTITION, f"row {c} came from partition {p}")
                seen[c] += 1
            if not answer.has_more_pages:
                break
            answer.fetch_next_page()
            pages += 1
        check(all(times == 1 for times in seen), f"{seen.count(0)} rows skipped, {sum(t > 1 for t in seen)} repeated")
        check(pages > ROWS / PAGE, f"{ROWS} rows came in {pages} pages of {PAGE}")

    def ring(self):
        tokens = {}
        for _ in range(1000):
            row = self.session.execute("SELECT rpc_address, tokens FROM system.local").one()
            tokens.update((int(token), row.rpc_address) for token in row.tokens)
            if len(set(tokens.values())) == 3:
                return sorted(tokens.items())
        check(False, f"a thousand questions reached only {set(tokens.values())}")

    def routing(self):
        keyspace = f"{self.keyspace}_one"
        self.session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
        self.session.execute(
            f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        self.session.execute(f"CREATE TABLE {keyspace}.routed (a text, b int, v int, PRIMARY KEY ((a, b)))")
        insert = self.session.prepare(f"INSERT INTO {keyspace}.routed (a, b, v) VALUES (?, ?, ?)")
        select = self.session.prepare(f"SELECT v, token(a, b) FROM {keyspace}.routed WHERE a = ? AND b = ?")
        ring, coordinators = self.ring(), set()
        for number in range(60):
            written = self.session.execute_async(insert, (f"key {number}", number, number))
            written.result()
            read = self.session.execute_async(select, (f"key {number}", number))
            value, token = read.result().one()
            check(value == number, f"row {number} holds {value}")
            asked = {future.coordinator_host.address for future in (written, read)}
            right = owner(ring, token)
            check(asked == {right}, f"token {token} is {right}'s, but {asked} were asked")
            coordinators |= asked
        check(len(coordinators) == 3, f"60 keys went to {coordinators} alone")

    def errors(self):
        self.refused(SyntaxException, "SELEC 1")
        self.refused(InvalidRequest, "SELECT * FROM no_such_table")
        keyspace = f"{self.keyspace}_far"
        self.session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
        self.session.execute(
            f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 5}}"
        )
        create = f"CREATE TABLE {keyspace}.t (k int PRIMARY KEY)"
        self.session.execute(create)
        self.refused(AlreadyExists, create)
        write = SimpleStatement(f"INSERT INTO {keyspace}.t (k) VALUES (1)", consistency_level=ConsistencyLevel.ALL)
        error = self.refused(Unavailable, write)
        check((error.required_replicas, error.alive_replicas) == (5, 3), f"{error}")

    def refused(self, kind, statement):
        try:
            self.session.execute(statement)
        except kind as error:
            return error
        check(False, f"'{statement}' succeeded")

    def tracing(self):
        answer = self.session.execute(f"SELECT * FROM {self.keyspace}.batched WHERE p = 1", trace=True)
        trace = answer.get_query_trace()
        check(trace.coordinator in NODES, f"the trace's coordinator is {trace.coordinator}")
        check(trace.duration is not None, "the trace has no duration")
        check(len(trace.events) >= 2, f"the trace has {len(trace.events)} events")
        check(all(event.description and event.source for event in trace.events), "an event without text or source")
        hosts = self.cluster.metadata.all_hosts()
        insert = f"INSERT INTO {self.keyspace}.batched (p, c, v) VALUES (2, 1, 'traced')"
        statement = SimpleStatement(insert, consistency_level=ConsistencyLevel.ALL)
        for host in hosts:
            # On one node it runs, and each is asked what all of them did.
            run = self.session.execute_async(statement, trace=True, host=host)
            run.result()
            trace = run.get_query_trace(max_wait=10)
            check(trace.coordinator == host.address, f"{trace.coordinator} coordinated instead of {host.address}")
            check(trace.parameters["query"] == insert, f"the trace's query is {trace.parameters['query']}")
            events = f"SELECT source, activity FROM system_traces.events WHERE session_id = {trace.trace_id}"
            events = SimpleStatement(events, consistency_level=ConsistencyLevel.ONE)
            for reader in hosts:
                found = self.session.execute(events, host=reader)
                done = {event.source for event in found if "memtable" in event.activity}
                check(done == set(NODES), f"{reader.address} knows only what {done} did for {host.address}")
        wrong = self.session.execute_async("SELECT * FROM no_such_keyspace.t", trace=True)
        self.refused_traced(wrong)
        check(self.session.execute("SELECT key FROM system.local").get_query_trace() is None, "traced unasked")

    def refused_traced(self, wrong):
        try:
            wrong.result()
        except InvalidRequest:
            check(wrong.get_query_trace(max_wait=10).duration is not None, "a failure's trace is not complete")
            return
        check(False, "a wrong statement succeeded")

    def views(self):
        """Reads every table that says what a node is doing, and finds there what this scenario has done."""
        tables = self.cluster.metadata.keyspaces["system_views"].tables
        check({"clients", "settings"} <= set(tables), f"system_views has {sorted(tables)}")
        counts = {name: len(self.session.execute(f"SELECT * FROM system_views.{name}").all()) for name in tables}
        check(counts["clients"] > 0 and counts["settings"] > 0 and counts["thread_pools"] > 0, f"rows: {counts}")
        where = f"WHERE keyspace_name = '{self.keyspace}' ALLOW FILTERING"
        written = 0
        for host in self.cluster.metadata.all_hosts():
            select = f"SELECT count, max_ms, p50th_ms, p99th_ms FROM system_views.local_write_latency {where}"
            for row in self.session.execute(select, host=host):
                written += row[0]
                check(row[1] >= row[3] >= row[2] >= 0, f"{host.address} shows {row}")
        check(written > 0, "no node has counted a write")

    def down_and_up(self):
        victim = NODES[2]
        self.heard.events.clear()
        control("kill", 3)
        until("DOWN is heard", 60, lambda: ("DOWN", victim) in self.heard.events)
        write = self.session.prepare(f"INSERT INTO {self.keyspace}.batched (p, c, v) VALUES (9, ?, 'while one is down')")
        for number in range(50):
            self.session.execute(write, [number])
        control("start", 3)
        until("UP is heard", 120, lambda: ("UP", victim) in self.heard.events)

        def asked():
            future = self.session.execute_async("SELECT rpc_address FROM system.local")
            future.result()
            return future.coordinator_host.address == victim

        until("the node is asked again", 60, asked)

    def tls(self):
        self.by_tls("ca.pem")
        try:
            self.by_tls("other-ca.pem")
        except NoHostAvailable:
            return
        check(False, "a certificate of another authority was accepted")

    def by_tls(self, authority):
        node = os.environ["DRIVERS_TLS_NODE"]
        context = ssl.create_default_context(cafile=certificate(authority))
        cluster = Cluster(
            [node],
            protocol_version=self.version,
            ssl_context=context,
            ssl_options={"server_hostname": node},
            execution_profiles={
                EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=DCAwareRoundRobinPolicy(DATA_CENTER))
            },
        )
        try:
            check(cluster.connect().execute("SELECT cluster_name FROM system.local").one()[0], "no name")
        finally:
            cluster.shutdown()


def main():
    steps = ["connect", "nodes", "schema", "types", "prepared", "batches", "paging", "routing", "errors", "tracing", "views", "tls"]
    for version, more in ((4, []), (5, ["down and up"])):
        scenario = Scenario(version)
        try:
            scenario.run(steps + more)
        finally:
            if scenario.cluster is not None:
                scenario.cluster.shutdown()


if __name__ == "__main__":
    main()
