"""The Apache Python driver against three nodes: what an application does in its first hour."""

import datetime
import decimal
import os
import unittest
import uuid

from cassandra import ConsistencyLevel, InvalidRequest, Unavailable
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement

NODE = os.environ["QUORATE_NODE"]
REPLICATION = "{'class': 'NetworkTopologyStrategy', 'dc1': 3}"


class Scenario:
    protocol_version = None

    @classmethod
    def setUpClass(cls):
        profile = ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy("dc1")),
            consistency_level=ConsistencyLevel.QUORUM,
            request_timeout=30,
        )
        cls.cluster = Cluster(
            [NODE],
            protocol_version=cls.protocol_version,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=30,
        )
        cls.session = cls.cluster.connect()
        cls.keyspace = f"py{cls.protocol_version}"
        cls.session.execute(f"CREATE KEYSPACE IF NOT EXISTS {cls.keyspace} WITH replication = {REPLICATION}")
        cls.session.set_keyspace(cls.keyspace)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.shutdown()

    def test_all_nodes_and_the_schema_are_discovered(self):
        self.assertEqual(len(self.cluster.metadata.all_hosts()), 3)
        self.assertEqual(len(self.cluster.metadata.token_map.ring), 48)
        weather = self.cluster.metadata.keyspaces["nyc"].tables["weather"]
        self.assertEqual([column.name for column in weather.partition_key], ["origin", "month"])
        self.assertIn("CREATE TABLE nyc.weather", weather.export_as_string())

    def test_every_type_comes_back_as_it_went(self):
        values = {
            "a": ("ascii", "plain"),
            "b": ("bigint", -(2**63)),
            "c": ("blob", b"\x00\xff"),
            "d": ("boolean", True),
            "e": ("date", datetime.date(2013, 1, 31)),
            "f": ("decimal", decimal.Decimal("-12.340")),
            "g": ("double", 1.5),
            "h": ("float", -0.25),
            "i": ("inet", "::1"),
            "j": ("int", -1),
            "k": ("smallint", 300),
            "l": ("text", "žluťoučký"),
            "m": ("time", datetime.time(1, 2, 3, 4)),
            "n": ("timestamp", datetime.datetime(2013, 1, 1, 6, 0, 0, 123000)),
            "o": ("timeuuid", uuid.uuid1()),
            "p": ("tinyint", -128),
            "q": ("uuid", uuid.uuid4()),
            "r": ("varint", 2**100),
            "s": ("list<int>", [3, 1, 2]),
            "t": ("set<text>", {"x", "y"}),
            "u": ("map<text, int>", {"one": 1}),
            "v": ("tuple<int, text>", (7, "seven")),
            "w": ("frozen<list<text>>", ["z"]),
        }
        columns = ", ".join(f"{name} {cql_type}" for name, (cql_type, _) in values.items())
        self.session.execute(f"CREATE TABLE IF NOT EXISTS every_type (id int PRIMARY KEY, {columns})")
        names = ", ".join(values)
        markers = ", ".join("?" for _ in values)
        insert = self.session.prepare(f"INSERT INTO every_type (id, {names}) VALUES (1, {markers})")
        self.session.execute(insert, [value for _, value in values.values()])
        row = self.session.execute(f"SELECT {names} FROM every_type WHERE id = 1").one()
        for name, (cql_type, value) in values.items():
            found = getattr(row, name)
            if cql_type == "date":
                found = found.date()
            elif cql_type == "time":
                found = found.time()
            elif cql_type in ("list<int>", "frozen<list<text>>"):
                found = list(found)
            elif cql_type == "set<text>":
                found = set(found)
            elif cql_type == "map<text, int>":
                found = dict(found)
            self.assertEqual(found, value, cql_type)

    def test_a_prepared_statement_survives_an_alter(self):
        self.session.execute("DROP TABLE IF EXISTS altered")
        self.session.execute("CREATE TABLE altered (k int PRIMARY KEY, v int)")
        self.session.execute("INSERT INTO altered (k, v) VALUES (1, 2)")
        select = self.session.prepare("SELECT * FROM altered WHERE k = ?")
        self.assertEqual(tuple(self.session.execute(select, [1]).one()), (1, 2))
        self.session.execute("ALTER TABLE altered ADD w text")
        self.session.execute("UPDATE altered SET w = 'new' WHERE k = 1")
        self.assertIn("new", tuple(self.session.execute(self.session.prepare("SELECT * FROM altered WHERE k = ?"), [1]).one()))

    def test_pages_join_to_the_whole(self):
        self.session.execute("CREATE TABLE IF NOT EXISTS paged (p int, c int, PRIMARY KEY (p, c))")
        insert = self.session.prepare("INSERT INTO paged (p, c) VALUES (?, ?)")
        futures = [self.session.execute_async(insert, (i % 7, i)) for i in range(5000)]
        for future in futures:
            future.result()
        statement = SimpleStatement("SELECT p, c FROM paged", fetch_size=333)
        rows = {tuple(row) for row in self.session.execute(statement)}
        self.assertEqual(rows, {(i % 7, i) for i in range(5000)})

    def test_batches_and_named_values(self):
        self.session.execute("CREATE TABLE IF NOT EXISTS batched (k int PRIMARY KEY, v text)")
        insert = self.session.prepare("INSERT INTO batched (k, v) VALUES (:key, :value)")
        batch = BatchStatement(BatchType.UNLOGGED)
        for key in range(10):
            batch.add(insert, {"key": key, "value": str(key)})
        self.session.execute(batch)
        self.assertEqual(self.session.execute("SELECT COUNT(*) FROM batched").one()[0], 10)

    def test_errors_are_those_of_cassandra(self):
        with self.assertRaises(SyntaxException):
            self.session.execute("SELEC 1")
        with self.assertRaises(InvalidRequest):
            self.session.execute("SELECT * FROM no_such_table")
        self.session.execute(f"CREATE KEYSPACE IF NOT EXISTS far{self.protocol_version} WITH replication = "
                             "{'class': 'SimpleStrategy', 'replication_factor': 5}")
        self.session.execute(f"CREATE TABLE IF NOT EXISTS far{self.protocol_version}.t (k int PRIMARY KEY)")
        insert = SimpleStatement(f"INSERT INTO far{self.protocol_version}.t (k) VALUES (1)",
                                 consistency_level=ConsistencyLevel.ALL)
        with self.assertRaises(Unavailable) as caught:
            self.session.execute(insert)
        self.assertEqual((caught.exception.required_replicas, caught.exception.alive_replicas), (5, 3))


class Version4(Scenario, unittest.TestCase):
    protocol_version = 4


class Version5(Scenario, unittest.TestCase):
    protocol_version = 5


if __name__ == "__main__":
    unittest.main()
