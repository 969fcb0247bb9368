"""A value of the driver as the text that `values.json` has for it. The Python package over the C++ driver has fewer types than CQL:
the CQL type decides."""

import datetime
import re
import struct

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
UNITS_NS = {"h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def text(value, cql_type=""):
    if value is None:
        return "null"
    if cql_type in OF_TYPE:
        return OF_TYPE[cql_type](value)
    for kind, form in FORMS:
        if isinstance(value, kind):
            return form(value)
    return str(value)


def between(start, parts, end):
    return start + ", ".join(parts) + end


def duration(value):
    """From the form of a literal, with all units."""
    sign = -1 if value.startswith("-") else 1
    months = days = nanoseconds = 0
    for count, unit in re.findall(r"(\d+)([a-z]+)", value):
        if unit in ("y", "mo"):
            months += int(count) * (12 if unit == "y" else 1)
        elif unit in ("w", "d"):
            days += int(count) * (7 if unit == "w" else 1)
        else:
            nanoseconds += int(count) * UNITS_NS[unit]
    return f"{sign * months}mo{sign * days}d{sign * nanoseconds}ns"


def items(value):
    return (f"{text(key)}: {text(item)}" for key, item in value.items())


FORMS = [
    (bool, lambda value: str(value).lower()),
    (float, lambda value: repr(value).replace("nan", "NaN").replace("inf", "Infinity")),
    (bytes, lambda value: "0x" + value.hex()),
    (datetime.datetime, lambda value: str((value - EPOCH) // datetime.timedelta(milliseconds=1))),
    (datetime.date, lambda value: str((value - EPOCH.date()).days)),
    (datetime.time, lambda value: str(((value.hour * 60 + value.minute) * 60 + value.second) * 10**9 + value.microsecond * 1000)),
    (dict, lambda value: between("{", items(value), "}")),
    (set, lambda value: between("{", sorted(map(text, value)), "}")),
    (list, lambda value: between("[", map(text, value), "]")),
    (tuple, lambda value: between("(", map(text, value), ")")),
]  # fmt: skip

#: Types that come as bytes, or as text.
OF_TYPE = {
    "varint": lambda value: str(int.from_bytes(value, "big", signed=True)),
    "duration": duration,
    "vector<float, 3>": lambda value: between("[", map(repr, struct.unpack(">3f", value)), "]"),
    "vector<int, 2>": lambda value: between("[", map(repr, struct.unpack(">2i", value)), "]"),
}
