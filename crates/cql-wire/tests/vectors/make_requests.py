"""Prints requests as the Apache Cassandra Python driver encodes them, one a line:

    version TAB framing TAB stream TAB description TAB bytes in hexadecimal

The description is what tests/vectors.rs writes of the request that it decodes from the bytes.
Needs: pip install cassandra-driver==3.30.1 lz4 python-snappy. Run: python make_requests.py > requests.tsv
"""

import io

from cassandra import connection, protocol
from cassandra.query import BatchType
from cassandra.segment import SegmentCodec

LEVELS = {name: code for code, name in
          enumerate("ANY ONE TWO THREE QUORUM ALL LOCAL_QUORUM EACH_QUORUM SERIAL LOCAL_SERIAL LOCAL_ONE".split())}
NAMES = {code: name for name, code in LEVELS.items()}
UNSET = protocol._UNSET_VALUE


def value(item):
    return "unset" if item is UNSET else "null" if item is None else "0x" + item.hex()


def parameters(message):
    out = [NAMES[message.consistency_level]]
    if message.query_params:
        out.append("values=" + ",".join(value(item) for item in message.query_params))
    if message.fetch_size:
        out.append(f"page={message.fetch_size}")
    if message.paging_state:
        out.append("state=0x" + message.paging_state.hex())
    return out + tail(message)


def tail(message):
    out = []
    if message.serial_consistency_level:
        out.append("serial=" + NAMES[message.serial_consistency_level])
    if message.timestamp is not None:
        out.append(f"timestamp={message.timestamp}")
    if message.keyspace is not None:
        out.append(f"keyspace={message.keyspace}")
    return out


def describe(message):
    kind = type(message)
    if kind is protocol.StartupMessage:
        items = [("CQL_VERSION", message.cqlversion)] + list(message.options.items())
        words = ["STARTUP"] + sorted(f"{key}={text}" for key, text in items)
    elif kind is protocol.OptionsMessage:
        words = ["OPTIONS"]
    elif kind is protocol.AuthResponseMessage:
        token = message.response if isinstance(message.response, bytes) else message.response.encode()
        words = ["AUTH_RESPONSE", "0x" + token.hex()]
    elif kind is protocol.QueryMessage:
        words = ["QUERY", message.query] + parameters(message)
    elif kind is protocol.PrepareMessage:
        words = ["PREPARE", message.query]
        if message.keyspace is not None:
            words.append(f"keyspace={message.keyspace}")
    elif kind is protocol.ExecuteMessage:
        words = ["EXECUTE", "0x" + message.query_id.hex()]
        if message.described_metadata_id:
            words.append("metadata=0x" + message.result_metadata_id.hex())
        words += parameters(message)
    elif kind is protocol.BatchMessage:
        words = ["BATCH", str(message.batch_type.value)]
        for prepared, what, values in message.queries:
            text = "0x" + what.hex() if prepared else what
            words.append(f"[{text}|" + ",".join(value(item) for item in values) + "]")
        words += [NAMES[message.consistency_level]] + tail(message)
    else:
        words = ["REGISTER"] + message.event_list
    if message.tracing:
        words.append("traced")
    for key, item in (message.custom_payload or {}).items():
        words.append(f"payload:{key}=" + value(item))
    return " ".join(words)


def queries(version):
    one, quorum = LEVELS["ONE"], LEVELS["LOCAL_QUORUM"]
    query = protocol.QueryMessage
    yield query("SELECT * FROM system.local WHERE key='local'", one)
    yield query("SELECT é漢🦀 FROM k.t", quorum, fetch_size=5000)
    yield query("SELECT 1", one, fetch_size=100, paging_state=bytes(range(40)))
    yield query("INSERT", LEVELS["ALL"], serial_consistency_level=LEVELS["LOCAL_SERIAL"], timestamp=1700000000123456)
    yield query("x" * 300, LEVELS["EACH_QUORUM"], serial_consistency_level=LEVELS["SERIAL"], fetch_size=1,
                paging_state=b"\0", timestamp=0)
    if version >= 5:
        yield query("SELECT v FROM t", one, keyspace="ks", fetch_size=2)


def executes(version):
    values = [[], [b""], [b"\0\0\0\1", None, b"text", b"\xff" * 70]]
    if version >= 4:
        values.append([UNSET, b"a", UNSET, None])
    for index, params in enumerate(values):
        message = protocol.ExecuteMessage(bytes(range(16)), params, LEVELS["TWO"], fetch_size=index * 50 or None,
                                          result_metadata_id=bytes(16 - n for n in range(16)))
        message.described_metadata_id = version >= 5  # ours: whether to describe it
        yield message


def batches(version):
    for kind in (BatchType.LOGGED, BatchType.UNLOGGED, BatchType.COUNTER):
        statements = [(False, "UPDATE t SET v = 1", []), (True, bytes(range(16)), [b"\0\0\0\7", None]),
                      (False, "INSERT INTO t", [b"x" * 9])]
        yield protocol.BatchMessage(kind, statements, LEVELS["QUORUM"])
        yield protocol.BatchMessage(kind, statements[:1], LEVELS["THREE"], LEVELS["SERIAL"], 123456789)
        if version >= 5:
            yield protocol.BatchMessage(kind, statements, LEVELS["ONE"], keyspace="ks", timestamp=7)
    yield protocol.BatchMessage(BatchType.LOGGED, [], LEVELS["ONE"])


def messages(version):
    yield protocol.StartupMessage("3.4.7", {})
    yield protocol.StartupMessage("3.4.7", {"COMPRESSION": "lz4", "DRIVER_NAME": "x", "NO_COMPACT": "true"})
    yield protocol.OptionsMessage()
    yield protocol.AuthResponseMessage(b"\0cassandra\0cassandra")
    yield protocol.AuthResponseMessage("")
    yield protocol.RegisterMessage(["TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"])
    yield protocol.PrepareMessage("SELECT * FROM t WHERE k = ?")
    if version >= 5:
        yield protocol.PrepareMessage("SELECT * FROM t WHERE k = ?", keyspace="other")
    for make in (queries, executes, batches):
        yield from make(version)
    for name in ("tracing", "payload"):
        message = protocol.QueryMessage("SELECT 1", LEVELS["ONE"])
        message.tracing = name == "tracing"
        if name == "payload":
            if version < 4:
                continue
            message.custom_payload = {"key": b"value", "empty": b""}
        yield message


def framings(version):
    compressors = connection.locally_supported_compressions
    if version < 5:
        return [("plain", None), ("lz4", compressors["lz4"]), ("snappy", compressors["snappy"])]
    return [("plain", None), ("segments", SegmentCodec()), ("segments-lz4", SegmentCodec(*compressors["lz4"]))]


def main():
    stream = 0
    for version in (3, 4, 5):
        for framing, how in framings(version):
            for message in messages(version):
                stream += 1
                compressor = how[0] if isinstance(how, tuple) else None
                if isinstance(message, protocol.StartupMessage) and framing != "plain":
                    continue
                encode = protocol.ProtocolHandler.encode_message
                encoded = encode(message, stream, version, compressor, False)
                if isinstance(how, SegmentCodec):
                    out = io.BytesIO()
                    how.encode(out, encoded)
                    encoded = out.getvalue()
                print(version, framing, stream, describe(message), encoded.hex(), sep="\t")


if __name__ == "__main__":
    main()
