"""The Apache Python driver over TLS: it verifies the certificates of three nodes, which also use TLS between themselves."""

import os
import pathlib
import ssl
import subprocess
import tempfile
import time
import unittest

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable

DRIVERS = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("QUORATE_BIN", DRIVERS.parent.parent / "target/release/quorate")
# Those of the other scenarios end with a lower number.
NODES = [f"127.{100 + os.getpid() // 250 % 100}.{1 + os.getpid() % 250}.{number}" for number in (101, 102, 103)]
READY_WITHIN_S = 60


class Node:
    def __init__(self, address, folder):
        self.output = open(folder / f"{address}.out", "w+")
        self.log = open(folder / f"{address}.log", "w+")
        certificate, key, ca = folder / "server.pem", folder / "server.key", folder / "ca.pem"
        self.process = subprocess.Popen(
            [
                BINARY, "start", f"--listen={address}", f"--seeds={NODES[0]}", "--cluster-name=python-tls",
                f"--data-dir={folder / address}", f"--die-with-parent={os.getpid()}",
                "--client-tls=required", f"--client-tls-certificate={certificate}", f"--client-tls-key={key}",
                f"--client-tls-ca={ca}", "--client-tls-require-certificate=true",
                "--internode-tls=required", f"--internode-tls-certificate={certificate}", f"--internode-tls-key={key}",
                f"--internode-tls-ca={ca}", "--internode-tls-verify-names=true",
            ],
            stdout=self.output,
            stderr=self.log,
        )

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            self.output.seek(0)
            if self.output.read().startswith("ready:"):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError(f"the node is not ready:\n{self.log.read()}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.output.close()
        self.log.close()


class OverTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        folder = pathlib.Path(cls.folder.name)
        subprocess.run([DRIVERS / "certificates", folder, *NODES], check=True)
        for address in NODES:
            node = Node(address, folder)
            cls.addClassCleanup(node.stop)
            node.wait_until_ready()

    def context(self, ca="ca.pem", certificate="client"):
        folder = pathlib.Path(self.folder.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(folder / ca)
        if certificate:
            context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
        return context

    def connect(self, protocol_version, context):
        profile = ExecutionProfile(consistency_level=ConsistencyLevel.QUORUM, request_timeout=30)
        cluster = Cluster(
            [NODES[0]],
            protocol_version=protocol_version,
            ssl_context=context,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=30,
        )
        self.addCleanup(cluster.shutdown)
        return cluster, cluster.connect()

    def use_everything(self, protocol_version):
        cluster, session = self.connect(protocol_version, self.context())
        self.assertEqual(sorted(host.address for host in cluster.metadata.all_hosts()), NODES)
        session.execute("CREATE KEYSPACE IF NOT EXISTS over_tls WITH replication = "
                        "{'class': 'SimpleStrategy', 'replication_factor': 3}")
        session.execute("CREATE TABLE IF NOT EXISTS over_tls.t (k int PRIMARY KEY, v blob)")
        insert = session.prepare("INSERT INTO over_tls.t (k, v) VALUES (?, ?)")
        # Values of many records of TLS among those that share one.
        values = {key: os.urandom(1_000_000 if key % 20 == 0 else 100) for key in range(60)}
        for future in [session.execute_async(insert, item) for item in values.items()]:
            future.result()
        found = {row.k: row.v for row in session.execute("SELECT k, v FROM over_tls.t")}
        self.assertEqual(found, values)

    def test_protocol_v4(self):
        self.use_everything(4)

    def test_protocol_v5(self):
        self.use_everything(5)

    def test_whoever_is_not_known_is_refused(self):
        for context in (None, self.context(ca="other-ca.pem"), self.context(certificate=None)):
            with self.assertRaises(NoHostAvailable):
                self.connect(4, context)


if __name__ == "__main__":
    unittest.main()
