"""Stands in for the package of this name, by which the Python driver's tests start and stop their clusters.

It has what those tests call and no more. What a node cannot be told to do raises `Unsupported`, which names it.
"""


class Unsupported(Exception):
    """The test wants something of its cluster that the nodes here do not have."""
