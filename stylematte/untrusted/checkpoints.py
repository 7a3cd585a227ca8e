"""Files of torch.save (.pth), of either format, as named arrays: the reader, and `python -m` of it as the child.

The newer format is a zip archive whose entries are stored as they are: a compressed one is not torch's, and refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from stylematte.errors import WeightsError
from stylematte.untrusted.apart import Plain, serve
from stylematte.untrusted.contents import (
    DAMAGED,
    Contents,
    Storage,
    legacy_file,
    legacy_storage,
    outside_id,
    width_of,
)
from stylematte.untrusted.limits import OPCODES, TENSORS
from stylematte.untrusted.machine import Damaged, Machine, Record
from stylematte.untrusted.names import described, shown, shown_value

LOCAL_HEADER = 30
ENTRIES = TENSORS + 100


def read(data: memoryview, wrappers: str = "[]") -> Plain:
    """The named tensors of a checkpoint. wrappers: JSON, keys under which trainers put them, outermost first.

    about: {"others": name -> kind of what is no tensor}. Raises WeightsError, Damaged.
    """
    if data[:2] == b"PK":
        tree, storage = _zipped(data)
    elif data[:1] == b"\x80":
        tree, storage = _legacy(data)
    else:
        raise WeightsError("not a file of torch.save: neither a zip archive nor a pickle")
    contents = Contents(len(data), storage)
    state = _named(contents, tree)
    for key in json.loads(wrappers):
        if _is_mapping(contents, state.get(key)):
            state = _named(contents, state[key])
    found = {name: contents.tensor(value) for name, value in state.items()}
    others = {name: described(state[name]) for name, value in found.items() if value is None}
    return Plain({"others": others}, {name: value for name, value in found.items() if value is not None})


def _is_mapping(contents: Contents, value: Any) -> bool:
    try:
        contents.mapping(value)
    except WeightsError:
        return False
    return True


def _named(contents: Contents, tree: Any) -> dict[str, Any]:
    if not _is_mapping(contents, tree):
        raise WeightsError(f"holds {described(tree)}, not named tensors")
    state = contents.mapping(tree)
    odd = next((key for key in state if not isinstance(key, str) or len(key) > 500 or not key.isprintable()), None)
    if odd is not None:
        raise WeightsError(f"holds a tensor under the name {shown_value(odd)}: expected a short word")
    return state


def _legacy(data: memoryview) -> tuple[Any, Callable[[Any], Storage]]:
    try:
        tree, records, position = legacy_file(data, OPCODES)
    except Damaged as error:
        raise WeightsError(f"cannot be read as tensors, an old pickle or a truncated file ({shown(error)})") from None
    storages = {}
    for record in records:
        kind, key, count = outside_id(record)
        storages[key], position = legacy_storage(data, position, kind, count)
    return tree, lambda record: _found(storages, record)


def _found(storages: dict[str, Storage], record: Any) -> Storage:
    kind, key, count = outside_id(record)
    stored = storages.get(key)
    if stored is None or stored.kind != kind or len(stored.raw) != count * stored.width:
        raise WeightsError(DAMAGED)
    return stored


def _zipped(data: memoryview) -> tuple[Any, Callable[[Any], Storage]]:
    entries = zip_entries(data)
    roots = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise WeightsError("a zip archive without data.pkl: not a file of torch.save")
    top = roots[0].removesuffix("data.pkl")
    if bytes(entries.get(f"{top}byteorder", b"little")) != b"little":
        raise WeightsError("a file of torch.save with bytes in another order")
    machine = Machine(entries[roots[0]], persistent=True)
    tree = machine.run()

    def storage(record: Record) -> Storage:
        kind, key, count = outside_id(record)
        raw = entries.get(f"{top}data/{key}")
        if raw is None or len(raw) != count * width_of(kind):
            raise WeightsError(DAMAGED)
        return Storage(kind, raw)

    return tree, storage


def zip_entries(data: memoryview) -> dict[str, memoryview]:
    """Name -> bytes of an archive without compression, no entry upon another. Raises WeightsError."""
    try:
        infos = zipfile.ZipFile(_Window(data)).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise WeightsError(f"cannot be read as a zip archive, perhaps truncated ({shown(error)})") from None
    if len(infos) > ENTRIES:
        raise WeightsError(f"a zip archive of more than {ENTRIES:,} entries")
    found: dict[str, memoryview] = {}
    free = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = info.filename
        parts = name.split("/")
        if not name.isprintable() or len(name) > 500 or ".." in parts or name.startswith("/") or "\\" in name:
            raise WeightsError(f"a zip archive with an entry {shown_value(name)}: not a file of torch.save")
        if name in found:
            raise WeightsError(f"a zip archive with two entries {shown_value(name)}: not a file of torch.save")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise WeightsError(f"a zip archive with {shown_value(name)} compressed: not a file of torch.save")
        found[name], free = _entry(data, info, free)
    return found


def _entry(data: memoryview, info: zipfile.ZipInfo, free: int) -> tuple[memoryview, int]:
    """The bytes of an entry, which begins no earlier than `free`, and where they end."""
    header = data[info.header_offset : info.header_offset + LOCAL_HEADER]
    if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04" or info.header_offset < free:
        raise WeightsError("a zip archive whose entries lie upon each other or outside it")
    start = info.header_offset + LOCAL_HEADER + int.from_bytes(header[26:28], "little")
    start += int.from_bytes(header[28:30], "little")
    end = start + info.file_size
    if end > len(data):
        raise WeightsError("a zip archive whose entries lie upon each other or outside it")
    return data[start:end], end


class _Window(io.RawIOBase):
    """Bytes as a file, without a copy of them all."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: len(self.data)}[whence]
        if self.at < 0:
            raise OSError("before its beginning")
        return self.at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self.data) if size is None or size < 0 else self.at + size
        got = bytes(self.data[self.at : end])
        self.at += len(got)
        return got


if __name__ == "__main__":
    serve(read)
