"""One node, as the tests see it."""


class Node:
    def __init__(self, cluster, index, address, port, offset, center):
        self.cluster, self.index, self.name = cluster, index, f"node{index}"
        self.address, self.port, self.offset = address, port, offset
        self.data_center, self.workloads = center, []
        self.options = {}
        self.network_interfaces = {"binary": (address, port), "storage": (address, 7000 + offset)}

    def set_configuration_options(self, values=None, **_more):
        self.options.update(values or {})

    def set_workloads(self, workloads):
        self.workloads = list(workloads)

    def is_running(self):
        return self.cluster.backend.is_running(self)

    def start(self, **_more):
        self.cluster.backend.start([self], self.cluster)

    def stop(self, wait=True, gently=True, **_more):
        self.cluster.backend.stop([self], gently)

    def pause(self):
        self.cluster.backend.pause(self)

    def resume(self):
        self.cluster.backend.resume(self)

    def grep_log_for_errors(self):
        return []
