"""A pickle as a tree of plain data, by a machine of its own. Nothing is run, looked up or imported, whatever it asks.

Unpickling is a small machine that calls what a file names. Here every name becomes a `Name`, and a call of one a
`Record`: a note of what was named, with what arguments and contents. So there is nothing to call. A name of Python's
own library beyond a few containers does not belong in a file of weights: it is refused, and the line says what it
wanted. Steps are counted (limits.OPCODES) and nothing recurses; long bytes and texts stay where they lie in the file.
Keys of dictionaries are words and numbers only, since to hash a tuple is to walk all of it.
"""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any

from stylematte.errors import WeightsError
from stylematte.untrusted.limits import INTEGER_BYTES, OPCODES, SHORT
from stylematte.untrusted.names import described, shown

INERT = {"_codecs", "argparse", "collections", "copy_reg", "copyreg", "datetime", "enum", "functools", "pathlib"}
"""Modules of Python that a file may name; of builtins only those below (getattr: how methods are pickled)."""
BUILTINS = {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list", "object"}
BUILTINS |= {"range", "set", "slice", "str", "tuple"}
PYTHON = set(sys.stdlib_module_names) | {"__builtin__", "commands", "posix", "nt", "copy_reg"}
LONGEST_NAME = 1024
PERSISTENT = "persistent"
"""Origin of the record of a persistent id, whose one argument is the id."""


class Name:
    """What a pickle named."""

    __slots__ = ("origin",)

    def __init__(self, origin: str) -> None:
        self.origin = origin


class Record:
    """What a pickle named, called with `args`, with the contents and the state that it was then given."""

    __slots__ = ("args", "elements", "items", "origin", "state")

    def __init__(self, origin: str, args: tuple[Any, ...]) -> None:
        self.origin, self.args, self.state = origin, args, None
        self.items: dict[Any, Any] | None = None
        self.elements: list[Any] | None = None


class LongText:
    """UTF-8 that was left in the file."""

    __slots__ = ("raw",)

    def __init__(self, raw: memoryview) -> None:
        self.raw = raw


class Damaged(Exception):
    """Not a pickle, or one that does what no pickler writes; the text says what."""


def key_of(value: Any) -> Any:
    """`value` where its hash costs nothing and meets few others; else a key that equals no other."""
    if isinstance(value, (str, bool, float, Name, Record, type(None))):
        return value
    return value if isinstance(value, int) and abs(value) < 2**63 else object()


class Machine:
    """Runs one pickle of `data` from `start`; `position` is behind it afterwards.

    persistent: take ids of things outside it, as torch.save writes them, and note them in `outside`; else refuse them.
    """

    def __init__(self, data: memoryview, start: int = 0, persistent: bool = False, opcodes: int = OPCODES) -> None:
        self.data, self.position, self.persistent, self.opcodes = data, start, persistent, opcodes
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[str, Name] = {}
        self.outside: list[Record] = []

    def run(self) -> Any:
        """The tree. Raises Damaged, and WeightsError for a name that does not belong or too many steps."""
        try:
            for _ in range(self.opcodes):
                code = self.data[self.position]
                self.position += 1
                if code == 0x2E:  # STOP
                    return self.stack.pop()
                step = STEPS.get(code)
                if step is None:
                    raise Damaged(f"opcode 0x{code:02x} is not one of protocols 2 to 5")
                step(self)
        except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
            raise Damaged(f"{type(error).__name__} at byte {self.position}") from None
        raise WeightsError(f"a pickle of more than {self.opcodes:,} steps")

    # --- bytes

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise Damaged(f"{count} bytes at byte {self.position}, where it has fewer")
        view = self.data[self.position : end]
        self.position = end
        return view

    def unsigned(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        raw = bytes(self.data[self.position : self.position + LONGEST_NAME])
        end = raw.index(b"\n") if b"\n" in raw else -1
        if end < 0:
            raise Damaged(f"a name longer than {LONGEST_NAME} bytes")
        self.position += end + 1
        return raw[:end].decode("utf-8")

    # --- the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def tuple(self, count: int) -> None:
        items = tuple(self.stack.pop() for _ in range(count))
        self.push(items[::-1])

    # --- values

    def integer(self, length: int) -> None:
        if length > INTEGER_BYTES:
            raise Damaged(f"an integer of {length} bytes")
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def text(self, length: int) -> None:
        raw = self.take(length)
        self.push(str(raw, "utf-8", "surrogatepass") if length <= SHORT else LongText(raw))

    def raw(self, length: int) -> None:
        raw = self.take(length)
        self.push(bytes(raw) if length <= SHORT else raw)

    def latin(self, length: int) -> None:
        """A string of Python 2."""
        if length > SHORT:
            raise Damaged(f"a string of Python 2 of {length} bytes")
        self.push(str(self.take(length), "latin-1"))

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.elements = target.elements or []
            target = target.elements
        if not isinstance(target, list):
            raise Damaged(f"an element for {described(target)}")
        target.extend(values)

    def put(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.items = {} if target.items is None else target.items
            target = target.items
        if not isinstance(target, dict) or len(pairs) % 2:
            raise Damaged(f"an entry for {described(target)}")
        for key, value in zip(map(key_of, pairs[::2]), pairs[1::2], strict=True):
            if key in target:
                raise Damaged(f"the entry {shown(key)} twice")
            target[key] = value

    # --- names and calls

    def name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Damaged("a name that is no text")
        top, origin = module.partition(".")[0], f"{module}.{name}"
        builtin = top in ("builtins", "__builtin__") and name in BUILTINS
        if top in PYTHON and top not in INERT and not builtin:
            raise WeightsError(f"names {shown(origin)}, which weights do not need; nothing of it was run")
        self.push(self.names.setdefault(origin, Name(origin)))

    def call(self, arguments: Any) -> None:
        called = self.stack.pop()
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise Damaged(f"a call of something that is no name, or with {described(arguments)} as arguments")
        self.push(Record(called.origin, arguments))

    def build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Record):
            raise Damaged(f"a state for {described(self.stack[-1])}")
        self.stack[-1].state = state

    def id(self) -> None:
        if not self.persistent:
            raise Damaged("the id of something outside it")
        record = Record(PERSISTENT, (self.stack.pop(),))
        self.outside.append(record)
        self.push(record)

    def frame(self) -> None:
        length = self.unsigned(8)
        if length > len(self.data) - self.position:
            raise Damaged(f"a frame of {length} bytes at byte {self.position}, where it has fewer")

    def protocol(self) -> None:
        version = self.unsigned(1)
        if not 2 <= version <= 5:
            raise Damaged(f"protocol {version}, expected 2 to 5")


def _stacked(m: Machine) -> None:
    name = m.stack.pop()
    m.name(m.stack.pop(), name)


def _mark(m: Machine) -> None:
    m.below.append(m.stack)
    m.stack = []


def _new_with_keywords(m: Machine) -> None:
    m.stack.pop()
    m.call(m.stack.pop())


def _global(m: Machine) -> None:
    module = m.line()
    m.name(module, m.line())


def _one(m: Machine, do: Callable[[list[Any]], None], count: int) -> None:
    values = [m.stack.pop() for _ in range(count)]
    do(values[::-1])


_BY_OPCODE: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: Machine.protocol,
    pickle.FRAME: Machine.frame,
    pickle.MARK: _mark,
    pickle.POP: Machine.pop,
    pickle.POP_MARK: lambda m: m.since_mark() and None,
    pickle.DUP: lambda m: m.push(m.stack[-1]),
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(struct.unpack("<i", m.take(4))[0]),
    pickle.BININT1: lambda m: m.push(m.unsigned(1)),
    pickle.BININT2: lambda m: m.push(m.unsigned(2)),
    pickle.LONG1: lambda m: m.integer(m.unsigned(1)),
    pickle.LONG4: lambda m: m.integer(m.unsigned(4)),
    pickle.BINFLOAT: lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    pickle.SHORT_BINSTRING: lambda m: m.latin(m.unsigned(1)),
    pickle.BINSTRING: lambda m: m.latin(m.unsigned(4)),
    pickle.SHORT_BINUNICODE: lambda m: m.text(m.unsigned(1)),
    pickle.BINUNICODE: lambda m: m.text(m.unsigned(4)),
    pickle.BINUNICODE8: lambda m: m.text(m.unsigned(8)),
    pickle.SHORT_BINBYTES: lambda m: m.raw(m.unsigned(1)),
    pickle.BINBYTES: lambda m: m.raw(m.unsigned(4)),
    pickle.BINBYTES8: lambda m: m.raw(m.unsigned(8)),
    pickle.BYTEARRAY8: lambda m: m.raw(m.unsigned(8)),
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.tuple(1),
    pickle.TUPLE2: lambda m: m.tuple(2),
    pickle.TUPLE3: lambda m: m.tuple(3),
    pickle.TUPLE: lambda m: m.push(tuple(m.since_mark())),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.LIST: lambda m: m.push(m.since_mark()),
    pickle.APPEND: lambda m: _one(m, m.append, 1),
    pickle.APPENDS: lambda m: m.append(m.since_mark()),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.SETITEM: lambda m: _one(m, m.put, 2),
    pickle.SETITEMS: lambda m: m.put(m.since_mark()),
    pickle.EMPTY_SET: lambda m: m.push([]),  # sets are lists here: nothing is hashed
    pickle.ADDITEMS: lambda m: m.append(m.since_mark()),
    pickle.FROZENSET: lambda m: m.push(m.since_mark()),
    pickle.GLOBAL: _global,
    pickle.STACK_GLOBAL: _stacked,
    pickle.REDUCE: lambda m: m.call(m.stack.pop()),
    pickle.NEWOBJ: lambda m: m.call(m.stack.pop()),
    pickle.NEWOBJ_EX: _new_with_keywords,
    pickle.BUILD: Machine.build,
    pickle.BINPERSID: Machine.id,
    pickle.BINPUT: lambda m: m.memo.__setitem__(m.unsigned(1), m.stack[-1]),
    pickle.LONG_BINPUT: lambda m: m.memo.__setitem__(m.unsigned(4), m.stack[-1]),
    pickle.MEMOIZE: lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    pickle.BINGET: lambda m: m.push(m.memo[m.unsigned(1)]),
    pickle.LONG_BINGET: lambda m: m.push(m.memo[m.unsigned(4)]),
}
STEPS = {code[0]: step for code, step in _BY_OPCODE.items()}
"""Those of protocols 2 to 5 that picklers write: no text opcodes, no INST, OBJ, EXT or buffers outside the file."""
