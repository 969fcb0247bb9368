"""What a scenario in Python knows of its surroundings, and how to wait; also for the C++ driver's, which is in Python too."""

import json
import os
import pathlib
import time
import urllib.error
import urllib.request

NODES = os.environ["DRIVERS_NODES"].split(",")
DATA_CENTER = os.environ["DRIVERS_DC"]
SKIP = os.environ.get("DRIVERS_SKIP", "").split(",")

_FILE = json.loads(pathlib.Path(os.environ["DRIVERS_VALUES"]).read_text(encoding="utf-8"))
#: The statements that create the user types.
TYPES = _FILE["types"]
#: The values: a dict each, with `name` (of the column), `type`, `literal` and `text`.
VALUES = [{**value, "name": f"v{index}"} for index, value in enumerate(_FILE["values"])]

ROWS = 100_000
ROWS_OF_PARTITION = 1_000
ROWS_OF_BATCH = 100
PAGE = 4_999


class Failure(Exception):
    """Why a step failed."""


def check(condition, text):
    """Ends a step with this text unless the condition holds."""
    if not condition:
        raise Failure(text)


def control(verb, node):
    """Asks the control for `kill` or `start` of a node, counted from 1."""
    try:
        urllib.request.urlopen(f"http://{os.environ['DRIVERS_CONTROL']}/{verb}/{node}", timeout=200).close()
    except urllib.error.HTTPError as error:
        raise Failure(f"{verb} of node {node}: {error.read().decode()}") from error


def until(what, seconds, look):
    """Looks again until it is so, or the time is over."""
    deadline = time.monotonic() + seconds
    while not look():
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.1)


def certificate(name):
    """The path of a certificate that the nodes' own is, or is not, signed by."""
    return str(pathlib.Path(os.environ["DRIVERS_CERTIFICATES"]) / name)


def schema_statements(keyspace):
    """The statements of the step `schema`, in order."""
    columns = ", ".join(f"{value['name']} {value['type']}" for value in VALUES)
    return [
        f"DROP KEYSPACE IF EXISTS {keyspace}",
        f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}",
        f"USE {keyspace}",
        *TYPES,
        f"CREATE TABLE every_type (id int PRIMARY KEY, {columns})",
        "CREATE TABLE altered (k int PRIMARY KEY, v int)",
        "CREATE TABLE batched (p int, c int, v text, PRIMARY KEY (p, c))",
        "CREATE TABLE paged (p int, c int, PRIMARY KEY (p, c))",
    ]


def owner(ring, token):
    """Who has the token, of a sorted list of tokens and addresses."""
    return next((address for end, address in ring if end >= token), ring[0][1])
