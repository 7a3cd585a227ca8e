"""The folders of one step on disk, and the renames that make a result exist, keep a replaced one, and bring it back.

    rounds/01/label                    the result
    rounds/01/.label.9f3c21ab          scratch of the run with that key; survives a crash
    rounds/01/.label.9f3c21ab.out      a result being written
    rounds/01/.label.discarded         being removed
    kept/01/label/77d0e5b2             a finished result with another key, kept until `stylematte gc`
    kept/01/label/damaged-1            what could not be used and was moved out of the way

A result is complete when it has its stage.json, which is written last. Every change is one rename of a complete
folder, so a crash at any point leaves each finished result whole in one of three places: the result's own, the kept
ones, or an `.out` with a stage.json, which `recover` moves to the kept ones. From there it comes back without work.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from loop.engine.damage import problem
from loop.engine.digest import RECORD
from loop.engine.files import fsync, fsync_tree, write_json
from loop.engine.record import StageError, StageRecord
from loop.engine.step import kept_folder, launch_folder, step_folder


@dataclass(frozen=True)
class StepFolders:
    """The folders of one step; scratch, out and kept are those of one key."""

    run_dir: Path
    step_id: str
    key: str = ""

    @property
    def final(self) -> Path:
        return step_folder(self.run_dir, self.step_id)

    @property
    def scratch(self) -> Path:
        return self._beside(self.key[:8])

    @property
    def out(self) -> Path:
        return self._beside(f"{self.key[:8]}.out")

    @property
    def kept(self) -> Path:
        return kept_folder(self.run_dir, self.step_id) / self.key[:8]

    @property
    def discarded(self) -> Path:
        return self._beside("discarded")

    def _beside(self, ending: str) -> Path:
        return self.final.with_name(f".{self.final.name}.{ending}")

    def recover(self) -> None:
        """After a crash amid a commit: a result that is complete and not in its place yet joins the kept ones."""
        for path in self._matching(r"[0-9a-f]{8}\.out"):
            if _is_complete(path):
                self._keep(path)

    def mend(self, tell: Callable[[str], None]) -> None:
        """Move away files where folders belong. tell: gets a line for each. Raises StageError for a parent folder."""
        for folder in (self.final.parent, kept_folder(self.run_dir, self.step_id)):
            for parent in (folder, *folder.parents):
                if parent.is_relative_to(self.run_dir) and parent.exists() and not parent.is_dir():
                    raise StageError(f"{parent}: a file where the run has a folder; move it away, then run again")
        for path in (self.final, self.scratch, launch_folder(self.scratch), self.out, self.discarded, self.kept):
            if os.path.lexists(path) and not path.is_dir():
                tell(f"{path} was a file where a folder belongs: moved to {self.set_aside(path)}")

    def set_aside(self, path: Path) -> Path:
        """Move what cannot be used out of the way, to where `stylematte gc` lists it: where it is now."""
        folder = kept_folder(self.run_dir, self.step_id)
        target = next(free for n in count(1) if not os.path.lexists(free := folder / f"damaged-{n}"))
        if path.is_dir() and not path.is_symlink():
            folder.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
        else:
            target.mkdir(parents=True)
            os.rename(path, target / path.name)
        fsync(path.parent)
        return target

    def open(self) -> None:
        """An empty `out`; `scratch` as the last attempt left it."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def commit(self, record: dict[str, Any]) -> None:
        """Make `out` durable, write stage.json last, keep the previous result, and let one rename make this one it."""
        fsync_tree(self.out)
        write_json(self.out / RECORD, record)
        fsync(self.out)
        self._put_in_place(self.out)

    def put_aside(self) -> None:
        """The finished result joins the kept ones; nothing takes its place."""
        self._keep(self.final)

    def restore(self) -> None:
        """The kept result with this key becomes the result; the one it replaces is kept in its turn."""
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self._put_in_place(self.kept)

    def _put_in_place(self, complete: Path) -> None:
        kept = self._keep(self.final) if self.final.exists() else None
        os.rename(complete, self.final)
        fsync(self.final.parent)
        fsync(self.final.parent.parent)
        if kept is not None:
            self._share_files(kept)
        self.tidy()

    def tidy(self) -> None:
        """Remove what a finished result has no more use for: its scratch, halves of results, a second copy of it."""
        for path in self.leftovers():
            self.discard(path)

    def leftovers(self) -> list[Path]:
        """What `tidy` removes. Scratch of another key in which its stage saved something is not among it."""
        others = [path for path in self.scratches() if path != self.scratch]
        folders = [path for path in others if path.is_dir()]
        useless = [path for path in folders if not any(inner != launch_folder(path) for inner in path.iterdir())]
        own = [path for path in (self.scratch, self.kept) if self.key and path.exists()]
        return [*own, *useless, *self._matching(r"[0-9a-f]{8}\.out|discarded")]

    def scratches(self) -> list[Path]:
        """The scratch folders of all keys."""
        return self._matching("[0-9a-f]{8}")

    def discard(self, path: Path) -> None:
        """Remove a folder. Renamed first: a crash amid the removal must not leave half of it under its name."""
        if self.discarded.exists():
            shutil.rmtree(self.discarded)
        if path.exists():
            self.final.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, self.discarded)
            shutil.rmtree(self.discarded)

    def _share_files(self, kept: Path) -> None:
        """If both results have the same bytes, let the kept one's files be links to the present ones: no more disk.

        A touched file of a data folder makes `prepare` run again, for the same bytes. Nobody writes to results.
        """
        one, two = StageRecord.load(self.final), StageRecord.load(kept)
        if one is None or two is None or one.outputs != two.outputs:
            return
        self.discard(self.discarded)
        self.discarded.mkdir()
        link = self.discarded / "link"  # takes a file's place in one step; a crash leaves some of each kind
        with suppress(OSError):  # a file system without links
            for file in sorted(self.final.rglob("*")):
                twin = kept / file.relative_to(self.final)
                if file.is_file() and file != self.final / RECORD and not os.path.samefile(file, twin):
                    os.link(file, link)
                    os.replace(link, twin)

    def _keep(self, result: Path) -> Path | None:
        """Move a finished result to the kept ones: where it is now. None, and it goes, if its key is there already.

        None, too, if its record is damaged: it is set aside.
        """
        folder = kept_folder(self.run_dir, self.step_id)
        try:
            record = StageRecord.load(result)
        except StageError:
            self.set_aside(result)
            return None
        if record is None:  # put there by hand, so of unknown worth
            target = next(path for n in count(1) if not (path := folder / f"unrecorded-{n}").exists())
        else:
            target = folder / record.key[:8]
        if target.exists():
            if not problem(self.run_dir, target, full=True):
                self.discard(result)
                return None
            self.set_aside(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(result, target)
        fsync(result.parent)
        for parent in target.parents[: len(target.relative_to(self.run_dir).parts)]:
            fsync(parent)
        return target

    def _matching(self, ending: str) -> list[Path]:
        pattern = re.compile(rf"\.{re.escape(self.final.name)}\.({ending})")
        if not self.final.parent.is_dir():
            return []
        return sorted(path for path in self.final.parent.iterdir() if pattern.fullmatch(path.name))


def _is_complete(out: Path) -> bool:
    try:
        return StageRecord.load(out) is not None
    except StageError:  # the stage's own file of that name, which `run_stage` would have refused
        return False
