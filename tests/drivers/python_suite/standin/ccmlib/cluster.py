"""A cluster as the tests see it, and what starts its nodes: `backend`."""

import os
import shutil
import unittest

from ccmlib import backend
from ccmlib.node import Node

# Options that say what our nodes do anyway, or that concern features which are answered for one by one.
WITHOUT_EFFECT = {
    "start_native_transport",
    "user_defined_functions_enabled",
    "materialized_views_enabled",
    "sasi_indexes_enabled",
    "transient_replication_enabled",
}
SINGLE_INTERFACE_PORT = 9046


class Cluster:
    def __init__(self, path, name, **_options):
        self.path, self.name = str(path), name
        self.nodes = {}
        self.options = {}
        self.backend = backend.make(name)

    def nodelist(self):
        return [self.nodes[name] for name in sorted(self.nodes)]

    def set_configuration_options(self, values=None, **_more):
        self.options.update({key: value for key, value in (values or {}).items() if key not in WITHOUT_EFFECT})

    def populate(self, nodes, ipformat=None, use_single_interface=False, **_more):
        counts = [nodes] if isinstance(nodes, int) else list(nodes)
        centers = [f"dc{dc}" for dc, count in enumerate(counts, 1) for _ in range(count)]
        for index, center in enumerate(centers, 1):
            address = (ipformat or "127.0.0.%d") % (1 if use_single_interface else index)
            offset = index - 1 if use_single_interface else 0
            port = SINGLE_INTERFACE_PORT + offset if use_single_interface else 9042
            self.nodes[f"node{index}"] = Node(self, index, address, port, offset, center)
        return self

    def start(self, **_more):
        self.backend.start([node for node in self.nodelist() if not node.is_running()], self)

    def stop(self, wait=True, gently=True, **_more):
        self.backend.stop(self.nodelist(), gently)

    def clear(self):
        self.stop()
        self.backend.wipe()

    def remove(self):
        self.clear()
        shutil.rmtree(os.path.join(self.path, self.name), ignore_errors=True)


class External:
    """A cluster that runs elsewhere: whoever wants to stop a node of it is told that the test does not apply."""

    def __init__(self, path, name):
        self.path, self.name = path, name
        self.nodes = {f"node{index}": ExternalNode() for index in (1, 2, 3)}

    def nodelist(self):
        return list(self.nodes.values())

    def __getattr__(self, verb):
        raise unittest.SkipTest(f"not applicable: drives ccm ({verb})")


class ExternalNode:
    data_center, workloads = "dc1", []

    def __getattr__(self, verb):
        raise unittest.SkipTest(f"not applicable: drives ccm ({verb})")
