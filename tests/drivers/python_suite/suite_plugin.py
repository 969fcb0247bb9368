"""A pytest plugin: writes each test's outcome to a file as it ends, so that a run that breaks off keeps what it had."""

import json
import os
import re

# The package that is installed, compiled, rather than the checkout's sources, which come first on the path later.
import cassandra  # noqa: F401

WHY_CHARS_MAX = 300


def why(report):
    """The last line of the failure: the exception."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return re.sub(r"\s+", " ", text)[:WHY_CHARS_MAX]


def write(test, outcome, reason):
    with open(os.environ["QUORATE_SUITE_RESULTS"], "a", encoding="utf-8") as file:
        file.write(json.dumps({"test": test, "outcome": outcome, "why": reason}) + "\n")


class Recorder:
    """Puts the phases of a test together: set up, called, torn down."""

    def __init__(self):
        self.worst = {}

    def pytest_runtest_logreport(self, report):
        if report.outcome == "failed":
            outcome = "failed" if report.when == "call" else f"error in {report.when}"
            self.worst[report.nodeid] = (outcome, why(report))
        elif report.outcome == "skipped" and report.nodeid not in self.worst:
            self.worst[report.nodeid] = ("skipped", why(report))
        if report.when == "teardown":
            write(report.nodeid, *self.worst.pop(report.nodeid, ("passed", "")))

    def pytest_collectreport(self, report):
        if report.outcome == "failed":
            write(report.nodeid, "error in collection", why(report))


def pytest_configure(config):
    config.pluginmanager.register(Recorder())
