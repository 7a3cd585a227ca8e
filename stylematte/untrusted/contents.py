"""What the records of a pickle mean: dictionaries, numbers, and torch's tensors as numpy arrays, within a budget.

A tensor is a view of bytes in the file: its shape, strides and offset are compared with them before anything is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from stylematte.errors import WeightsError
from stylematte.untrusted.limits import AXES, TENSORS, VISITS, expanded
from stylematte.untrusted.machine import PERSISTENT, Damaged, LongText, Machine, Name, Record, key_of
from stylematte.untrusted.names import described, shown

DICTIONARIES = {"collections.OrderedDict", "dnnlib.util.EasyDict", "collections.defaultdict"}
PARAMETERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
REBUILT = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"}
BFLOAT16 = "bfloat16"
KINDS = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
STORAGE_STEPS = 1000
DAMAGED = "holds a tensor that cannot be read: damaged, or shorter than it says"


class Storage(NamedTuple):
    """Numbers in a row. kind: numpy's name of their type, or BFLOAT16."""

    kind: str
    raw: memoryview

    @property
    def width(self) -> int:
        return width_of(self.kind)


def width_of(kind: str) -> int:
    return 2 if kind == BFLOAT16 else np.dtype(kind).itemsize


class Contents:
    """Reads what a pickle's records mean, and counts what it has looked at and made.

    size: bytes of the file. storage: finds a tensor's bytes for the record that names them.
    """

    def __init__(self, size: int, storage: Callable[[Any], Storage]) -> None:
        self.storage = storage
        self.visits, self.tensors, self.bytes = VISITS, TENSORS, expanded(size)

    def visit(self, count: int) -> None:
        self.visits -= count + 1
        if self.visits < 0:
            raise WeightsError(f"holds more than {VISITS:,} entries")

    def mapping(self, value: Any) -> dict[Any, Any]:
        """A dictionary, or a record of one, as a dict with plain numbers for numpy's; else WeightsError."""
        pairs: list[tuple[Any, Any]] = []
        if isinstance(value, Record) and value.origin in DICTIONARIES:
            first = value.args[0] if value.args and isinstance(value.args[0], (list, tuple)) else ()
            self.visit(len(first))
            if any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in first):
                raise WeightsError("holds an ordered dictionary that is none")
            pairs = [(key_of(pair[0]), pair[1]) for pair in first]
            value = value.items or {}
        if not isinstance(value, dict):
            raise WeightsError(f"holds {described(value)} where a dictionary was expected")
        self.visit(len(value))
        return {key: number(inner) for key, inner in [*pairs, *value.items()]}

    def tensor(self, value: Any) -> np.ndarray | None:
        """The array of a tensor's or a parameter's record; None for None and for any other thing.

        Raises WeightsError where its bytes are not there, are of another type than torch's real ones, or overlap.
        """
        if isinstance(value, Record) and value.origin in PARAMETERS and value.args:
            value = value.args[0]
        if not isinstance(value, Record) or value.origin not in REBUILT:
            return None
        if len(value.args) < 4:
            raise WeightsError(DAMAGED)
        record, offset, size, stride = value.args[:4]
        if len(value.args) > 6 and value.args[6]:
            raise WeightsError("holds a tensor that is kept conjugate or negative: expected plain ones")
        stored = self.storage(record)
        count = _check_layout(stored, offset, size, stride)
        self.tensors -= 1
        self.bytes -= count * max(stored.width, 4)
        if self.tensors < 0:
            raise WeightsError(f"holds more than {TENSORS:,} tensors")
        if self.bytes < 0:
            raise WeightsError("holds tensors that share their bytes and would take more than twice the file")
        return _array(stored, offset, size, stride)


def _check_layout(stored: Storage, offset: Any, size: Any, stride: Any) -> int:
    """How many numbers a tensor has; WeightsError unless it lies in its storage and each of them at its own place."""
    plain = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= AXES
    if not plain or any(type(n) is not int or n < 0 for n in (offset, *size, *stride)):
        raise WeightsError(DAMAGED)
    count, held = math.prod(size), len(stored.raw) // stored.width
    if math.prod(n for n in size if n) >= 2**48:  # which numpy minds, even where there are no numbers
        raise WeightsError(DAMAGED)
    reach = 0
    for step, length in sorted((step, length) for step, length in zip(stride, size, strict=True) if length > 1):
        if count and step <= reach:
            raise WeightsError("holds a tensor whose numbers lie upon each other: expected each at its own place")
        reach += step * (length - 1)
    if count > held or (offset + reach >= held if count else offset > held):
        raise WeightsError(DAMAGED)
    return count


def _array(stored: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    kind = "<u2" if stored.kind == BFLOAT16 else "<u1" if stored.kind == "?" else stored.kind
    if not math.prod(size):
        return np.zeros(size, "<f4" if stored.kind == BFLOAT16 else stored.kind)
    strides = [step * stored.width if length > 1 else 0 for step, length in zip(stride, size, strict=True)]
    flat = np.frombuffer(stored.raw, kind, len(stored.raw) // stored.width)
    found = np.lib.stride_tricks.as_strided(flat[offset:], size, strides)
    found = np.ascontiguousarray(found).reshape(size)
    if stored.kind == BFLOAT16:
        return (found.astype("<u4") << 16).view("<f4")
    return found != 0 if stored.kind == "?" else found


def number(value: Any) -> Any:
    """A numpy scalar's record as a Python number; anything else as it is."""
    if not isinstance(value, Record) or not re.fullmatch(r"numpy\._?core\.multiarray\.scalar", value.origin):
        return value
    kind, raw = value.args
    code = kind.args[0]
    if not isinstance(code, str) or not re.fullmatch(r"[biuf][1248]", code):
        raise WeightsError(f"holds a numpy scalar of type {shown(described(code))}: expected a number")
    order = kind.state[1] if isinstance(kind.state, tuple) and len(kind.state) > 1 else "="
    if order not in ("<", ">", "|", "="):
        raise WeightsError("holds a numpy scalar without an order of bytes")
    return np.frombuffer(raw_bytes(raw), np.dtype(code).newbyteorder(order))[0].item()


def raw_bytes(value: Any) -> memoryview:
    """Bytes, which protocol 2 writes as text in latin-1."""
    if isinstance(value, Record) and value.origin == "_codecs.encode":
        text = value.args[0]
        text = str(text.raw, "utf-8") if isinstance(text, LongText) else text
        value = text.encode("latin-1")
    if not isinstance(value, (bytes, memoryview)):
        raise WeightsError(f"holds {described(value)} where bytes were expected")
    return memoryview(value)


# --- torch's storages


def kind_of(named: Any) -> str:
    """The type of numbers that a storage's class names. Raises WeightsError: complex, quantized and others."""
    origin = named.origin if isinstance(named, Name) else ""
    kind = KINDS.get(origin.removeprefix("torch.").removeprefix("storage."))
    if kind is None or not origin.startswith("torch."):
        raise WeightsError(f"holds a tensor of {described(named)}: expected real numbers, as of torch.FloatStorage")
    return kind


def outside_id(record: Any) -> tuple[str, str, int]:
    """(kind, key, count) of the id with which torch.save speaks of a storage."""
    id_ = record.args[0] if isinstance(record, Record) and record.origin == PERSISTENT else None
    if not isinstance(id_, tuple) or len(id_) not in (5, 6) or id_[0] != "storage" or (len(id_) == 6 and id_[5]):
        raise WeightsError(DAMAGED)
    _, named, key, _, count = id_[:5]
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise WeightsError(DAMAGED)
    return kind_of(named), key, count


class StoragesInside:
    """Storages that lie in the pickle itself, each in a little file of torch.save, as copies of networks have them."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Record, Storage]] = {}

    def __call__(self, record: Any) -> Storage:
        if not isinstance(record, Record) or record.origin != "torch.storage._load_from_bytes" or not record.args:
            raise WeightsError(f"holds a tensor in {described(record)}: expected one with its bytes beside it")
        if id(record) not in self.known:
            self.known[id(record)] = record, _stored(raw_bytes(record.args[0]))
        return self.known[id(record)][1]


def _stored(data: memoryview) -> Storage:
    try:
        root, (entry,), position = legacy_file(data, STORAGE_STEPS)
        kind, key, count = outside_id(entry)
    except WeightsError:
        raise
    except (Damaged, ValueError):
        raise WeightsError(DAMAGED) from None
    if root is not entry or key is None:
        raise WeightsError(DAMAGED)
    return legacy_storage(data, position, kind, count)[0]


def legacy_file(data: memoryview, opcodes: int) -> tuple[Any, list[Record], int]:
    """torch.save's older format: the tree, its ids of storages in their order, and where their bytes begin."""
    position, found, outside = 0, [], []
    for number_ in range(5):  # magic, version, system, the tree, keys of storages
        machine = Machine(data, position, persistent=number_ == 3, opcodes=opcodes)
        found.append(machine.run())
        outside += machine.outside
        position = machine.position
    magic, version, system, tree, keys = found
    if magic != MAGIC or type(magic) is not int or version != VERSION:
        raise Damaged("not a file of torch.save")
    if not isinstance(system, dict) or system.get("little_endian") is not True or not isinstance(keys, list):
        raise Damaged("a file of torch.save with bytes in another order")
    first = {}
    for record in outside:
        first.setdefault(outside_id(record)[1], record)
    if not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(first):
        raise Damaged("a file of torch.save whose list of storages is another than those it uses")
    return tree, [first[key] for key in keys], position


def legacy_storage(data: memoryview, position: int, kind: str, count: int) -> tuple[Storage, int]:
    """One of them, which begins with its count, and where the next one begins."""
    start, end = position + 8, position + 8 + count * width_of(kind)
    if end > len(data) or int.from_bytes(data[position:start], "little") != count:
        raise WeightsError(DAMAGED)
    return Storage(kind, data[start:end]), end
