"""Reads responses.tsv with the Apache Cassandra Python driver and compares what it understands with what was meant.

A line that the driver cannot read, or reads as something else, is printed, and the exit status is 1.
Needs: pip install cassandra-driver==3.30.1 lz4 python-snappy. Run: python read_responses.py responses.tsv
"""

import io
import struct
import sys
from ipaddress import ip_address

from cassandra import ConsistencyLevel, WriteType, connection, cqltypes, protocol
from cassandra.segment import SegmentCodec


class RawRows(protocol.ResultMessage):
    """Rows whose cells are left alone: they are random, and of no type."""

    def recv_results_rows(self, f, protocol_version, user_type_map, result_metadata, policy):
        self.recv_results_metadata(f, user_type_map)
        self.parsed_rows = protocol.read_int(f)


def envelope(version, framing, data):
    compressors = connection.locally_supported_compressions
    if framing.startswith("segments"):
        codec = SegmentCodec(*compressors["lz4"]) if framing.endswith("lz4") else SegmentCodec()
        buffer, payload = io.BytesIO(data), b""
        while buffer.tell() < len(data):
            payload += codec.decode(buffer, codec.decode_header(buffer)).payload
        data = payload
    first, flags, stream, opcode, length = struct.unpack(">BBhBi", data[:9])
    body = data[9:]
    assert first == version | 0x80 and length == len(body), (first, length, len(body))
    return flags, stream, opcode, body, compressors[framing][1] if framing in compressors else None


def token(item):
    return "none" if item is None else (item if isinstance(item, bytes) else item.encode()).hex()


def kind(of):
    if issubclass(of, cqltypes.FrozenType):
        return kind(of.subtypes[0])
    if issubclass(of, cqltypes.UserType):
        fields = ",".join(f"{name}:{kind(part)}" for name, part in zip(of.fieldnames, of.subtypes))
        return f"{of.keyspace}.{of.typename}({fields})"
    if issubclass(of, cqltypes.VectorType):
        return f"vector({kind(of.subtype)},{of.vector_size})"
    if of.subtypes:
        return f"{of.typename}({','.join(kind(part) for part in of.subtypes)})"
    return "text" if of.typename == "varchar" else of.typename


def columns(metadata):
    return "[" + " ".join(f"{c[0]}.{c[1]}.{c[2]}:{kind(c[3])}" for c in metadata or []) + "]"


def level(info):
    return ConsistencyLevel.value_to_name[info["consistency"]]


def error(message):
    info = message.info
    if message.code == 0x1000:
        return f"{level(info)} {info['required_replicas']} {info['alive_replicas']}"
    if message.code in (0x1100, 0x1200, 0x1300, 0x1500):
        words = [level(info), str(info["received_responses"]), "of", str(info["required_responses"])]
        if info.get("error_code_map") is not None:
            codes = sorted(f"{ip_address(address)}={code}" for address, code in info["error_code_map"].items())
            words.append(",".join(codes))
        elif "failures" in info:
            words.append(f"{info['failures']} failures")
        if "data_retrieved" in info:
            words.append(str(info["data_retrieved"]).lower())
        if "write_type" in info:
            words.append(WriteType.value_to_name[info["write_type"]])
        return " ".join(words)
    if message.code == 0x1400:
        return f"{info['keyspace']}.{info['function']}({','.join(info['arg_types'])})"
    if message.code == 0x2400:
        return f"{info['keyspace']}.{info['table']}"
    if message.code == 0x2500:
        return "0x" + info.hex()
    return ""


def schema_change(event):
    target = event["target_type"].lower()
    if target == "keyspace":
        what = ""
    elif target in ("function", "aggregate"):
        item = event[target]
        what = f"{target} {item.name}({','.join(item.argument_types)})"
    else:
        what = f"{target} {event[target]}"
    return f"{event['change_type']} {event['keyspace']} {what}".upper()


def body(message):
    if isinstance(message, protocol.ErrorMessage):
        return f"{message.code:#06x} {message.message} {error(message)}"
    if isinstance(message, protocol.AuthenticateMessage):
        return message.authenticator
    if isinstance(message, protocol.SupportedMessage):
        options = dict(message.options, CQL_VERSION=message.cql_versions)
        return " ".join(sorted(f"{key}={'|'.join(values)}" for key, values in options.items()))
    if isinstance(message, protocol.EventMessage):
        event = message.event_args
        if message.event_type == "SCHEMA_CHANGE":
            return "SCHEMA_CHANGE " + schema_change(event)
        host, port = event["address"]
        return f"{message.event_type} {event['change_type']} {ip_address(host)} {port}"
    if isinstance(message, protocol.AuthChallengeMessage):
        return token(message.challenge)
    if isinstance(message, protocol.AuthSuccessMessage):
        return token(message.token)
    if not isinstance(message, protocol.ResultMessage):
        return ""
    if message.kind == 2:
        found = getattr(message, "result_metadata_id", None)
        return (f"ROWS {message.parsed_rows} {columns(message.column_metadata)} "
                f"{token(message.paging_state)} {token(found)}")
    if message.kind == 3:
        return f"KEYSPACE {message.new_keyspace}"
    if message.kind == 4:
        return (f"PREPARED {message.query_id.hex()} {(message.result_metadata_id or b'').hex()} "
                f"{columns(message.bind_metadata)} {message.pk_indexes or []} {columns(message.column_metadata)}")
    if message.kind == 5:
        return schema_change(message.schema_change_event)
    return "VOID"


def describe(message):
    trace = message.trace_id.hex if message.trace_id else "none"
    payload = ",".join(sorted(f"{key}={token(item)}" for key, item in (message.custom_payload or {}).items()))
    warnings = "|".join(message.warnings or [])
    name = "RESULT" if isinstance(message, protocol.ResultMessage) else type(message).name
    return f"{name} {body(message)} trace={trace} warnings={warnings} payload={payload}"


def main(path):
    handler = protocol._ProtocolHandler
    handler.message_types_by_opcode[protocol.ResultMessage.opcode] = RawRows
    failed = read = 0
    for line in open(path):
        version, framing, stream, meant, data = line.rstrip("\n").split("\t")
        try:
            flags, found, opcode, data, decompress = envelope(int(version), framing, bytes.fromhex(data))
            message = handler.decode_message(int(version), {}, found, flags, opcode, data, decompress, [])
            assert found == int(stream), (found, stream)
            understood = describe(message)
        except Exception as problem:
            understood = repr(problem)
        if understood == meant:
            read += 1
        else:
            failed += 1
            print(f"v{version} {framing} {stream}\n  meant      {meant!r}\n  understood {understood!r}")
    print(f"{read} read as meant, {failed} not")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
