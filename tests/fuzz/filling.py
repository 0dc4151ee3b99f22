"""Messages made of an input's bytes, which alone are rarely a message that says much."""

from __future__ import annotations

from typing import Any, TypeVar

import atheris
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_DEEPEST = 6
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}

AnyMessage = TypeVar("AnyMessage", bound=Message)


def filled(
    kind: type[AnyMessage], data: atheris.FuzzedDataProvider, texts: list[str]
) -> AnyMessage:
    """A message with some of its fields; `texts` are some that mean something."""
    message = kind()
    _fill(message, data, texts, _DEEPEST)
    return message


def _fill(message: Message, data: atheris.FuzzedDataProvider, texts: list[str], depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if not data.remaining_bytes() or data.ConsumeIntInRange(0, 2) == 0:
            continue
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            if depth and field.is_repeated:
                for _ in range(data.ConsumeIntInRange(0, 4)):
                    _fill(getattr(message, field.name).add(), data, texts, depth - 1)
            elif depth:
                getattr(message, field.name).SetInParent()
                _fill(getattr(message, field.name), data, texts, depth - 1)
        elif field.is_repeated:
            count = data.ConsumeIntInRange(0, 6)
            getattr(message, field.name).extend([_value(field, data, texts) for _ in range(count)])
        else:
            setattr(message, field.name, _value(field, data, texts))


def _value(field: Any, data: atheris.FuzzedDataProvider, texts: list[str]) -> object:
    if field.cpp_type in _INTEGERS:
        # Mostly small ones, as indexes and counts are, and the ends of what there are.
        least, most = _INTEGERS[field.cpp_type]
        return (*range(6), least, most, data.ConsumeIntInRange(least, most))[
            data.ConsumeIntInRange(0, 8)
        ]
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return data.ConsumeBool()
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return data.ConsumeIntInRange(0, 5)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return data.ConsumeBytes(data.ConsumeIntInRange(0, 64))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if data.ConsumeBool():
            return data.PickValueInList(texts)
        return data.ConsumeUnicodeNoSurrogates(data.ConsumeIntInRange(0, 64))
    return data.ConsumeFloat()
