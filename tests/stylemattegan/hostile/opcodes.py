"""Hostile pickles assembled by hand: names, shapes and lengths that no pickler writes. Each is bytes under its name."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterator

from tests.stylemattegan.hostile.trees import good

CANARY = "canary"
"""What the payloads would make in the present folder."""
COMMAND = f"touch {CANARY}"
PROGRAM = f"open('{CANARY}', 'w').close()"
P2, P4, P5 = b"\x80\x02", b"\x80\x04", b"\x80\x05"
MANY = 300_000


def word(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stacked(module: str, name: str) -> bytes:
    return word(module) + word(name) + b"\x93"


def called(what: bytes, argument: str) -> bytes:
    return what + word(argument) + b"\x85R"


CALLS = {
    "os.system": COMMAND,
    "posix.system": COMMAND,
    "nt.system": COMMAND,
    "subprocess.Popen": COMMAND,
    "subprocess.getoutput": COMMAND,
    "commands.getoutput": COMMAND,
    "builtins.eval": PROGRAM,
    "builtins.exec": PROGRAM,
    "builtins.compile": PROGRAM,
    "builtins.__import__": "os",
    "builtins.open": CANARY,
    "__builtin__.eval": PROGRAM,
    "io.open": CANARY,
    "pty.spawn": COMMAND,
    "runpy.run_path": CANARY,
    "importlib.import_module": "antigravity",
    "ctypes.CDLL": "libc.so.6",
    "shutil.rmtree": ".",
    "pickle.loads": "x",
    "socket.create_connection": "localhost",
    "webbrowser.open": "http://localhost",
    "code.interact": PROGRAM,
    "bdb.run": PROGRAM,
    "timeit.timeit": PROGRAM,
    "torch.hub.load": "x",
    "torch.load": "x",
    "numpy.load": "x",
    "pip.main": "install",
    "loop.cli.main.main": "run",
    "оs.system": COMMAND,  # a Cyrillic o
    "ｏｓ.system": COMMAND,  # of full width
    "os\u200b.system": COMMAND,
    "os\x1b[2K.system": COMMAND,
}


def calls() -> Iterator[tuple[str, bytes]]:
    for origin, argument in CALLS.items():
        module, _, name = origin.rpartition(".")
        label = origin.encode("unicode_escape").decode().replace("\\", "_").replace("[", "")
        yield f"call-{label}", P2 + called(named(module, name), argument) + b"."
    system, touch = named("os", "system"), word(COMMAND)
    yield "stack-global", P4 + called(stacked("os", "system"), COMMAND) + b"."
    yield "stack-global-dotted", P4 + called(stacked("collections", "abc.sys.modules"), COMMAND) + b"."
    yield "stack-global-of-numbers", P4 + b"K\x01K\x02\x93."
    yield "newobj", P2 + system + touch + b"\x85\x81."
    yield "newobj-ex", P4 + system + touch + b"\x85}\x92."
    yield "inst", P2 + b"(" + touch + b"ios\nsystem\n."
    yield "obj", P2 + b"(" + system + touch + b"o."
    yield "build", P2 + named("collections", "OrderedDict") + b")R}" + word("__setstate__") + system + b"sb."
    yield "build-on-a-number", P2 + b"K\x01}b."
    yield (
        "getattr-chain",
        P2 + named("builtins", "getattr") + b"c__main__\nx\n" + word("system") + b"\x86R" + touch + b"\x85R.",
    )
    yield "call-of-a-call", P2 + called(called(named("a", "b"), "c"), COMMAND) + b"."
    yield "reduce-of-a-number", P2 + b"K\x01)R."
    yield "persistent-id", P2 + word("x") + b"Q."
    yield "persistent-id-text", P2 + b"Pos.system\n."
    for size, code in ((1, b"\x82"), (2, b"\x83"), (4, b"\x84")):
        yield f"extension-{size}", P2 + code + b"\x01" * size + b")R."


def shapes() -> Iterator[tuple[str, bytes]]:
    """Depth, loops, marks, memo."""
    yield "deep-tuple", P2 + b")" + b"\x85" * MANY + b"."
    yield "deep-tuple-of-millions", P2 + b")" + b"\x85" * 3_000_000 + b"."
    yield "deep-tuple-as-key", P2 + b"})" + b"\x85" * MANY + b"K\x01s."
    yield "deep-tuple-in-a-set", P4 + b"\x8f()" + b"\x85" * MANY + b"\x90."
    yield "deep-tuple-frozen", P4 + b"()" + b"\x85" * MANY + b"\x91."
    yield "deep-list", P2 + b"]" * MANY + b"a" * (MANY - 1) + b"."
    yield "deep-dict", P2 + b"}K\x01" * MANY + b"}" + b"s" * MANY + b"."
    yield "deep-record", P2 + named("a", "b") + b"q\x00)" + b"0h\x00)R" + b"\x85h\x00\x860" + b"h\x00)\x85R" * 9 + b"."
    yield "deep-calls", P2 + named("a", "b") + b"q\x00" * 1 + b"h\x00" * MANY + b")" + b"R\x85" * MANY + b"."
    yield "list-of-itself", P2 + b"]q\x00h\x00a."
    yield "dict-of-itself", P2 + b"}q\x00(" + b"".join(word(n) + b"h\x00" for n in ("G", "D", "G_ema")) + b"u."
    yield "dict-keyed-by-itself", P2 + b"}q\x00h\x00K\x01s."
    laughing = b"]q\x00" + b"".join(b"](" + bytes([104, i]) * 10 + b"eq" + bytes([i + 1]) for i in range(40))
    yield "laughing-lists", P2 + laughing + b"."
    yield "laughing-lists-as-networks", P2 + laughing + b"0}(" + word("G") + b"h\x28" + word("D") + b"h\x28u."
    yield "marks", P2 + b"(" * MANY + b"."
    yield "marks-of-millions", P2 + b"(" * 2_000_000 + b"."
    yield "pops-of-nothing", P2 + b"0" * 5 + b"."
    yield "no-result", P2 + b"."
    yield "copies", P2 + b"]" + b"2" * 1_500_000 + b"."
    yield "lists-of-millions", P2 + b"]" * 1_500_000 + b"."
    yield "dicts", P2 + b"}" * 999_000 + b"."
    yield "records", P2 + named("a", "b") + b"q\x00" + b"h\x00)R" * MANY + b"."
    yield "memo-index-of-4-billion", P2 + b"]r\xff\xff\xff\xff."
    yield (
        "memo-indices-far-apart",
        P2 + b"]" + b"".join(b"r" + struct.pack("<I", i * 65_537) for i in range(60_000)) + b".",
    )
    yield "memo-missing", P2 + b"h\x07."
    yield "memo-missing-long", P2 + b"j\xff\xff\xff\x7f."
    yield "memo-of-nothing", P2 + b"q\x00."
    yield "keys-of-one-hash", P2 + b"}(" + b"".join(_integer(i * (2**61 - 1)) + b"N" for i in range(30_000)) + b"u."
    yield "entry-twice", P2 + b"}(" + (word("G") + b"N") * 2 + b"u."
    yield "entries-odd", P2 + b"}(" + word("G") + b"u."
    yield "entry-of-a-number", P2 + b"K\x01K\x02K\x03s."
    yield "element-of-a-number", P2 + b"K\x01K\x02a."
    yield "names", P2 + b"".join(named("m", f"n{i}") for i in range(200_000)) + b"."


def _integer(value: int) -> bytes:
    raw = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + raw


def lengths() -> Iterator[tuple[str, bytes]]:
    for name, code in (("bytes8", b"\x8e"), ("unicode8", b"\x8d"), ("bytearray8", b"\x96")):
        for what, count in (("all", 2**64 - 1), ("half", 2**63), ("tera", 2**40)):
            yield f"{name}-{what}", P5 + code + struct.pack("<Q", count) + b"x."
    yield "bytes-4-giga", P4 + b"B" + b"\xff" * 4 + b"x."
    yield "unicode-4-giga", P2 + b"X" + b"\xff" * 4 + b"x."
    yield "string-negative", P2 + b"T" + b"\xff" * 4 + b"x."
    yield "long1-too-long", P2 + b"\x8a\xff" + b"\x7f" * 255 + b"."
    yield "long4-negative", P2 + b"\x8b" + b"\xff" * 4 + b"x."
    yield "long4-of-a-megabyte", P2 + b"\x8b" + struct.pack("<I", 2**20) + b"\x7f" * 2**20 + b"."
    yield "int-of-many-digits", P2 + b"I" + b"9" * 200_000 + b"\n."
    yield "long-of-many-digits", P2 + b"L" + b"9" * 200_000 + b"L\n."
    yield "string-text", P2 + b"S'\\x41'\n."
    yield "unicode-text", P2 + b"V\\ud800\n."
    yield "float-text", P2 + b"Fnan\n."
    yield "put-text", P2 + b"]p99999999999999999999\n."
    yield "get-text", P2 + b"g1\n."
    yield "frame-longer-than-the-file", P4 + b"\x95" + struct.pack("<Q", 2**40) + b"]."
    yield "frame-of-all", P4 + b"\x95" + b"\xff" * 8 + b"]."
    yield "frames", P4 + (b"\x95" + b"\x00" * 8) * 100_000 + b"]."
    yield "name-without-end", P2 + b"c" + b"a" * 2**20
    yield "name-of-no-utf8", P2 + b"c\xff\xfe\nx\n."
    yield "text-of-no-utf8", P2 + b"X\x02\x00\x00\x00\xff\xfe."
    yield "surrogates", P2 + word("\ud800\udfff") + b"."
    yield "buffer", P5 + b"\x97."
    yield "buffer-read-only", P5 + b"]\x98."
    yield "no-opcode", P4 + b"\xee."
    for version in (0, 1, 6, 255):
        yield f"protocol-{version}", b"\x80" + bytes([version]) + b"]."
    yield "protocol-0-text", b"cos\nsystem\n(S'touch canary'\ntR."
    yield "protocol-later", P4 + b"]\x80\x09."


CUT = ("PROTO", "FRAME", "EMPTY_DICT", "MEMOIZE", "MARK", "SHORT_BINUNICODE", "STACK_GLOBAL", "BINGET", "TUPLE")
CUT += ("TUPLE1", "TUPLE2", "EMPTY_TUPLE", "REDUCE", "BINBYTES", "BININT1", "BINPUT", "NEWFALSE", "NONE", "SETITEMS")
CUT += ("BINUNICODE", "BINFLOAT", "BININT2", "LONG_BINGET", "SHORT_BINBYTES", "EMPTY_LIST", "APPENDS", "NEWTRUE")


def cut() -> Iterator[tuple[str, bytes]]:
    """Good snapshots that end behind the first opcode of each kind; of one frame, which says that it is empty."""
    left = set(CUT)
    for protocol in (4, 2):
        data = good(protocol)
        if protocol == 4:
            data = data[:3] + bytes(8) + data[11:]
        for opcode, _, position in pickletools.genops(good(protocol)):
            if opcode.name in left:
                left.remove(opcode.name)
                yield f"cut-at-{opcode.name.lower()}", data[: position + 1]
    data = good(4)
    yield "cut-of-its-last-byte", data[:-1]
    yield "cut-in-half", data[: len(data) // 2]
    yield "begins-late", data[3:]


def pickles() -> dict[str, bytes]:
    return {name: data for make in (calls, shapes, lengths, cut) for name, data in make()}
