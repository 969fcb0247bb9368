"""A value of the driver as the text that `values.json` has for it."""

import datetime
import decimal
import math

from cassandra.util import Date, Duration, OrderedMap, SortedSet, Time

EPOCH = datetime.datetime(1970, 1, 1)


def text(value):
    if value is None:
        return "null"
    for kind, form in FORMS:
        if isinstance(value, kind):
            return form(value)
    return str(value)


def between(start, parts, end):
    return start + ", ".join(parts) + end


def number(value):
    if math.isnan(value):
        return "NaN"
    return repr(value).replace("inf", "Infinity")


def of_tuple(value):
    if hasattr(value, "_fields"):
        return between("{", (f"{name}: {text(field)}" for name, field in zip(value._fields, value)), "}")
    return between("(", map(text, value), ")")


FORMS = [
    (bool, lambda value: str(value).lower()),
    (float, number),
    (bytes, lambda value: "0x" + value.hex()),
    (decimal.Decimal, lambda value: format(value, "f")),
    (Date, lambda value: str(value.days_from_epoch)),
    (Time, lambda value: str(value.nanosecond_time)),
    (datetime.datetime, lambda value: str((value - EPOCH) // datetime.timedelta(milliseconds=1))),
    (Duration, lambda value: f"{value.months}mo{value.days}d{value.nanoseconds}ns"),
    (OrderedMap, lambda value: between("{", (f"{text(key)}: {text(item)}" for key, item in value.items()), "}")),
    ((SortedSet, set), lambda value: between("{", map(text, value), "}")),
    (list, lambda value: between("[", map(text, value), "]")),
    (tuple, of_tuple),
]
