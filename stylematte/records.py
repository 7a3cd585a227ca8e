"""Demands that the files of a finished stage are those that its record, stage.json beside them, names.

`loop.engine.record` writes the record and `loop.engine.digest` has the digest; here both are read without the loop.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from stylematte.errors import WeightsError

RECORD = "stage.json"


def demand_whole(folder: Path) -> None:
    """Reads every file in `folder`. Raises WeightsError if one was changed; a folder without a record passes."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        own = record.pop("digest", None)
        if own is not None and own != hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest():
            raise ValueError("its text is not what was written")
        outputs = record["outputs"]
    except (FileNotFoundError, NotADirectoryError):
        return
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{folder / RECORD} is damaged ({error}): {_CURE}") from None
    if outputs != _digest(folder):
        raise WeightsError(f"{folder} is damaged: its files are not those that were made; {_CURE}")


_CURE = "`stylematte run` on its run moves it aside and makes it again"


def _digest(folder: Path) -> str:
    """As `loop.engine.digest.digest_folder`."""
    total = hashlib.sha256()
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in sorted(name for name in names if name != RECORD):
        with open(folder / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + content.encode() + b"\n")
    return total.hexdigest()
