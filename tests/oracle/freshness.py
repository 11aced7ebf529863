"""Compares a table of ONNX messages, field numbers and types with the descriptors of the installed onnx package."""

import json

from google.protobuf.descriptor import FieldDescriptor
from onnx import onnx_ml_pb2

SCALARS = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("double", "float", "int64", "uint64", "int32", "uint32", "bool", "string", "bytes", "sint32", "sint64")
}


def messages(scope, prefix=""):
    """Every message of a file or message, by its name with the enclosing messages."""
    for name, message in scope.items():
        yield prefix + name, message
        yield from messages(message.nested_types_by_name, f"{prefix}{name}.")


def spell(field):
    """Type of a field as the table writes it."""
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        name = field.message_type.full_name.removeprefix("onnx.")
    elif field.type == FieldDescriptor.TYPE_ENUM:
        name = "enum"
    else:
        name = SCALARS.get(field.type, f"type {field.type}")
    return f"repeated {name}" if field.is_repeated else name


def freshness(path):
    """{"differences": [...], "not_in_table": [...]}: the first must be empty, the second is what we do not read."""
    with open(path, encoding="utf-8") as file:
        table = json.load(file)
    official = dict(messages(onnx_ml_pb2.DESCRIPTOR.message_types_by_name))
    differences, absent, checked = [], [], 0
    for message, fields in table.items():
        if message not in official:
            differences.append(f"{message}: no such message")
            continue
        known = official[message].fields_by_name
        for name, (number, kind) in fields.items():
            checked += 1
            if name not in known:
                differences.append(f"{message}.{name}: no such field")
            elif (known[name].number, spell(known[name])) != (number, kind):
                differences.append(
                    f"{message}.{name}: {number} {kind}, officially {known[name].number} {spell(known[name])}"
                )
        absent += [f"{message}.{name}" for name in known if name not in fields]
    absent += [message for message in official if message not in table]
    return {"checked": checked, "differences": differences, "not_in_table": absent}
