"""A pickle as a tree of plain data. Nothing in it is run, looked up or imported, whatever it asks for.

Unpickling is a small machine that calls what a file names. Here every name becomes a `Record`: a note of what was
named, with what arguments and contents. So there is nothing to call. A name of Python's own library beyond a few
containers does not belong in a snapshot of networks: such a file is refused, and the line says what it wanted.

What the records mean (tensors, dictionaries, modules of the official code) is read afterwards, by the functions below.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import WeightsError

INERT = {"_codecs", "argparse", "collections", "copy_reg", "copyreg", "datetime", "enum", "functools", "pathlib"}
"""Modules of Python that a snapshot may name; of builtins only those below (getattr: how methods are pickled)."""
BUILTINS = {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list", "object"}
BUILTINS |= {"range", "set", "slice", "str", "tuple"}
PYTHON = set(sys.stdlib_module_names) | {"__builtin__", "commands", "posix", "nt", "copy_reg"}
DICTIONARIES = {"collections.OrderedDict", "dnnlib.util.EasyDict", "collections.defaultdict"}
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"


class Record:
    """What a pickle named, called with `args`, with the contents and the state that it was then given."""

    origin = ""

    def __new__(cls, *args: Any, **_: Any) -> Record:
        self = super().__new__(cls)
        self.args, self.state, self.items, self.elements = args, None, {}, []
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        self.elements.append(value)

    add = append

    def extend(self, values: Any) -> None:
        self.elements.extend(values)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Record]:
        top, origin = module.partition(".")[0], f"{module}.{name}"
        builtin = top in ("builtins", "__builtin__") and name in BUILTINS
        if top in PYTHON and top not in INERT and not builtin:
            raise WeightsError(f"names {origin}, which no snapshot of networks needs; nothing of it was run")
        return type(name, (Record,), {"origin": origin})


def read_pickle(path: Path) -> Any:
    """The tree in a file. Raises WeightsError: no file, no pickle, truncated, or naming what it should not."""
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: a folder; expected a file such as network-snapshot.pkl")
    try:
        with open(path, "rb") as file:
            start = file.read(2)
            if start[:1] != b"\x80":
                what = "a zip archive (of torch.save?)" if start == b"PK" else "not a pickle of protocol 2 or later"
                raise WeightsError(f"{path}: {what}; expected a snapshot such as network-snapshot.pkl")
            file.seek(0)
            return _Reader(file).load()
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except WeightsError as refused:
        text = str(refused)
        raise WeightsError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except Exception as error:  # a damaged file can fail in any of the machine's steps
        why = " ".join(str(error).split())[:100] or type(error).__name__
        raise WeightsError(f"{path}: cannot be read as a pickle, perhaps truncated ({why})") from None


# --- what the records mean


def mapping(value: Any) -> dict[Any, Any]:
    """A dictionary, or a record of one, as a dict with plain numbers for numpy's; else WeightsError."""
    if isinstance(value, Record) and value.origin in DICTIONARIES:
        first = value.args[0] if value.args and isinstance(value.args[0], (list, tuple)) else ()
        value = {**dict(first), **value.items}
    if not isinstance(value, dict):
        raise WeightsError(f"holds {described(value)} where a dictionary was expected")
    return {key: number(inner) for key, inner in value.items()}


def described(value: Any) -> str:
    return value.origin if isinstance(value, Record) else f"a {type(value).__name__}"


def number(value: Any) -> Any:
    """A numpy scalar's record as a Python number; anything else as it is."""
    if not isinstance(value, Record) or not re.fullmatch(r"numpy\._?core\.multiarray\.scalar", value.origin):
        return value
    kind, raw = value.args
    code = str(kind.args[0])
    if not re.fullmatch(r"[biuf][1248]", code):
        raise WeightsError(f"holds a numpy scalar of type {code}: expected a number")
    order = kind.state[1] if kind.state else "="
    return np.frombuffer(raw_bytes(raw), np.dtype(code).newbyteorder(order))[0].item()


def raw_bytes(value: Any) -> bytes:
    """Bytes, which protocol 2 writes as text in latin-1."""
    if isinstance(value, Record) and value.origin == "_codecs.encode":
        value = value.args[0].encode("latin-1")
    if not isinstance(value, bytes):
        raise WeightsError(f"holds {described(value)} where bytes were expected")
    return value


def tensor(value: Any) -> Tensor | None:
    """A tensor's or a parameter's record as a tensor of its own; None for None and for any other thing."""
    name = value.origin if isinstance(value, Record) else ""
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return tensor(value.args[0])
    if name not in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        return None
    stored, offset, size, stride = value.args[:4]
    if not isinstance(stored, Record) or stored.origin != "torch.storage._load_from_bytes":
        raise WeightsError(f"holds a tensor in {described(stored)}: expected one with its bytes beside it")
    try:
        flat = torch.load(io.BytesIO(raw_bytes(stored.args[0])), map_location="cpu", weights_only=True)
        whole = torch.tensor([], dtype=flat.dtype).set_(flat)
        return whole.as_strided(tuple(size), tuple(stride), offset).clone()
    except Exception:  # what torch says of it may advise to load it unsafely
        raise WeightsError("holds a tensor that cannot be read: damaged, or shorter than it says") from None


class Module:
    """A network of the official code, or a plain torch.nn module: its class's name and what it holds."""

    def __init__(self, record: Any) -> None:
        if isinstance(record, Record) and record.origin == PERSISTENT:
            meta = mapping(record.args[0])  # module_src, a program, is left where it is
            self.name, state = str(meta.get("class_name")), meta.get("state")
        elif isinstance(record, Record):
            self.name, state = record.origin, record.state
        else:
            raise WeightsError(f"holds {described(record)} where a network was expected")
        self.attributes = mapping(state)

    def part(self, name: str) -> dict[str, Any]:
        """_parameters, _buffers or _modules, by name."""
        return mapping(self.attributes.get(name, {}))

    def arguments(self, positional: tuple[str, ...]) -> dict[str, Any]:
        """What it was built with, nested dictionaries as plain ones."""
        given = dict(zip(positional, self.attributes.get("_init_args", ()), strict=False))
        given |= mapping(self.attributes.get("_init_kwargs", {}))
        return {k: mapping(v) if isinstance(v, (Record, dict)) else v for k, v in given.items()}

    def tensors(self, depth: int = 16) -> Iterator[tuple[str, Tensor]]:
        """The state dict: parameters and persistent buffers, those of inner modules with dotted names."""
        for name, value in {**self.part("_parameters"), **self.part("_buffers")}.items():
            found = tensor(value)
            if found is not None:
                yield name, found
        for name, value in self.part("_modules").items():
            if value is not None and depth:
                yield from ((f"{name}.{key}", found) for key, found in Module(value).tensors(depth - 1))
