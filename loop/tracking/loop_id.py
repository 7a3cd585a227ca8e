"""The random name of a run folder in W&B: made once and kept in the folder, so that a resumed loop goes on under it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from loop.tracking.sweep import trial


def loop_id(run_dir: Path) -> str:
    """Eight hexadecimal digits, or the trial's id in a sweep; processes that race agree on the first one's."""
    path = Path(run_dir) / "loop_id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".loop_id.{os.getpid()}.{secrets.token_hex(4)}")
        fresh.write_text((trial() or secrets.token_hex(4)) + "\n", encoding="utf-8")
        try:
            os.link(fresh, path)  # fails if another process was first, unlike a rename
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="utf-8").strip()
