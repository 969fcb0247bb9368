"""Another product's clusters."""

from ccmlib import Unsupported


class DseCluster:
    def __init__(self, *_args, **_options):
        raise Unsupported("clusters of another product")
