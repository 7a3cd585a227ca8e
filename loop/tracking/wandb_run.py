"""One Weights & Biases run, online or offline, that never fails: an error in W&B is one warning and the end of it.

The run ids are functions of the run folder and the step, so a resumed fit or loop goes on in the same W&B run.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from loop.tracking.curves import METRICS
from loop.tracking.sweep import out_of_the_sweep

_log = logging.getLogger(__name__)

FINISH = 60
"""Seconds that the end of a run waits for a slow network; what was not sent lies on disk, for `wandb sync`."""


class WandbRun:
    """Opened at the first use. Any exception ends it with one warning; the caller goes on.

    mode: online, offline or disabled. axis: the metric on the x-axis. code: record the state of the git repository.
    init: what `wandb.init` takes, with "dir".

    Whoever opens a run again logs it from its beginning: W&B has what it is missing then. Offline a run is one folder;
    those that earlier processes wrote of it are removed when the new one is finished.
    """

    def __init__(self, mode: str, axis: str, code: bool = True, **init: Any) -> None:
        self.mode, self.axis, self.code, self.init = mode, axis, code, init
        self.broken = mode == "disabled"
        self._run: Any = None
        self._first = 0
        self._replaced: list[Path] = []

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """step: W&B's own count, which only grows; rows of equal steps are one, and those that an online run has
        already are passed over. None: it counts by itself."""
        self._guard(lambda: self._write(metrics, step))

    def has(self, step: int) -> bool:
        """Whether an online run has the row of that step already."""
        self._guard(self._opened)
        return step < self._first

    def _write(self, metrics: Mapping[str, Any], step: int | None) -> None:
        run = self._opened()
        if step is None:
            run.log(dict(metrics))
        elif step >= self._first:
            run.log(dict(metrics), step=step)

    def config(self, values: Mapping[str, Any]) -> None:
        self._guard(lambda: self._opened().config.update(plain(values), allow_val_change=True))

    def image(self, path: Path) -> Any:
        """A wandb.Image of a picture file, for `log`; None once the run is broken."""
        return self._guard(lambda: _wandb().Image(str(path)))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
        """A wandb.Table for `log`; cells that are PIL pictures become images. None once the run is broken."""

        def made() -> Any:
            wandb = _wandb()
            cells = [[wandb.Image(cell) if hasattr(cell, "tobytes") else cell for cell in row] for row in rows]
            return wandb.Table(columns=list(columns), data=cells)

        return self._guard(made)

    def alert(self, title: str, text: str, level: str) -> None:
        """level: INFO, WARN or ERROR. W&B shows it beside the run, and sends it by mail or Slack where asked to."""
        self._guard(lambda: self._opened().alert(title=title, text=text, level=level, wait_duration=0))

    def artifact(self, made: Mapping[str, Any], use: bool = False) -> None:
        """Log an artifact (`loop.tracking.artifacts.made`), or, with `use`, say that the run reads it."""
        self._guard(lambda: self._artifact(made, use))

    def _artifact(self, made: Mapping[str, Any], use: bool) -> None:
        run, folder = self._opened(), Path(made["folder"])
        found = _wandb().Artifact(made["name"], made["type"], metadata=made["metadata"])
        if made["upload"]:
            for file in sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json")):
                found.add_file(str(file), policy="immutable", skip_cache=True)
        else:
            # "file:" would list and hash every file of the folder, which may be a pool of a million
            found.add_reference(f"folder://{folder.as_posix()}", name="result", checksum=False)
            found.add_file(made["file"], name="step.json", policy="immutable", skip_cache=True)
        if not use:
            run.log_artifact(found, aliases=made["aliases"])
        elif hasattr(run, "_log_artifact"):  # what use_artifact does, which refuses offline and waits online
            run._log_artifact(found, aliases=made["aliases"], is_user_created=True, use_after_commit=True)

    def finish(self) -> None:
        """Must be called: without it the next run opened in this process would silently be this one."""
        if self._run is not None:
            run, self._run = self._run, None
            self._guard(lambda: run.finish())
            if not self.broken:
                for folder in self._replaced:
                    shutil.rmtree(folder, ignore_errors=True)

    def _opened(self) -> Any:
        if self._run is None:
            try:
                self._run = self._open(self.mode)
            except Exception as error:
                if self.mode != "online":
                    raise
                _log.warning(f"W&B cannot be reached ({one_line(error)}); this run is mirrored offline instead")
                self._run = self._open("offline")
        return self._run

    def _open(self, mode: str) -> Any:
        wandb = _wandb()
        Path(self.init["dir"]).mkdir(parents=True, exist_ok=True)
        code = {} if self.code else {"disable_git": True, "save_code": False}
        # W&B 0.21 lacks finish_timeout: it waits until the last byte is sent
        known = "finish_timeout" in wandb.Settings.model_fields
        end = {"finish_timeout": FINISH, "finish_timeout_raises": True} if known else {}
        settings = wandb.Settings(silent=True, console="off", init_timeout=30, **code, **end)
        resume = "allow" if mode == "online" else None  # offline there is nothing to resume from
        self._replaced = offline_folders(Path(self.init["dir"]), self.init["id"]) if mode == "offline" else []
        self._stage_files()
        with nullcontext() if self.init.get("job_type") == "loop" else out_of_the_sweep():
            run = wandb.init(mode=mode, resume=resume, settings=settings, **self.init)
        self._first = getattr(run, "step", 0) if mode == "online" else 0
        run.define_metric(self.axis)
        run.define_metric("*", step_metric=self.axis)
        return run

    def _stage_files(self) -> None:
        """What tables copy until it is sent lies in the run folder too, and goes when the run is written anew."""
        place = Path(self.init["dir"]) / "wandb" / "staged"
        self._replaced += sorted(place.glob(f"{self.init['id']}.*"))
        os.environ["WANDB_DATA_DIR"] = str((place / f"{self.init['id']}.{os.getpid()}").resolve())

    def _guard(self, act: Callable[[], Any]) -> Any:
        if self.broken:
            return None
        try:
            return act()
        except Exception as error:
            self.broken = True
            _log.warning(f"W&B mirror stopped: {one_line(error)}; the fit goes on and {METRICS} has every number")
            return None


def offline_folders(run_dir: Path, id: str | None = None) -> list[Path]:
    """What W&B wrote offline below a run folder: of the run with that id, or of all."""
    # -1, -2: begun in a second in which W&B had begun one of that id already
    wanted = re.compile(rf"offline-run-\d+_\d+-{'.+' if id is None else re.escape(id)}(-\d+)?")
    return sorted(path for path in (run_dir / "wandb").glob("offline-run-*") if wanted.fullmatch(path.name))


def sync_command(run_dir: Path) -> str | None:
    """What sends a run's offline files to W&B; None where there are none that were not sent yet."""
    waiting = [folder for folder in offline_folders(run_dir) if not any(folder.glob("*.synced"))]
    return f"wandb sync {shlex.quote(str(run_dir / 'wandb'))}/offline-run-*" if waiting else None


def plain(config: Any) -> Any:
    """A dataclass, an OmegaConf node or a mapping as JSON-ready plain types."""
    if hasattr(config, "_metadata"):
        from omegaconf import OmegaConf

        config = OmegaConf.to_container(config, resolve=True)
    elif hasattr(config, "__dataclass_fields__"):
        from dataclasses import asdict

        config = asdict(config)
    elif not isinstance(config, Mapping):
        config = vars(config)
    return json.loads(json.dumps(config, default=lambda value: str(getattr(value, "value", value))))


def one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _wandb() -> Any:
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    return wandb
