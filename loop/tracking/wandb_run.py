"""One Weights & Biases run, online or offline, that never fails: an error in W&B is one warning and the end of it.

The run ids are functions of the run folder and the step, so a resumed fit goes on in the same W&B run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loop.tracking.curves import METRICS

_log = logging.getLogger(__name__)


class WandbRun:
    """Opened at the first use. Any exception ends it with one warning; the caller goes on.

    mode: online, offline or disabled. axis: the metric on the x-axis. init: what `wandb.init` takes, with "dir".
    """

    def __init__(self, mode: str, axis: str, **init: Any) -> None:
        self.mode, self.axis, self.init = mode, axis, init
        self.broken = mode == "disabled"
        self._run: Any = None

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """step: W&B's own count, for a run that several processes write one after the other: each would begin at 0, and
        of rows with equal steps `wandb sync` keeps one. None: it counts by itself."""
        given = {} if step is None else {"step": step}
        self._guard(lambda: self._opened().log(dict(metrics), **given))

    def config(self, values: Mapping[str, Any]) -> None:
        self._guard(lambda: self._opened().config.update(plain(values), allow_val_change=True))

    def image(self, path: Path) -> Any:
        """A wandb.Image of a picture file, for `log`; None once the run is broken."""
        return self._guard(lambda: _wandb().Image(str(path)))

    def finish(self) -> None:
        """Must be called: without it the next run opened in this process would silently be this one."""
        if self._run is not None:
            run, self._run = self._run, None
            self._guard(lambda: run.finish())

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
        settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, init_timeout=30)
        # Offline, "allow" would start at step 0 in a second folder with a warning; `wandb sync` joins by id anyway.
        resume = "allow" if mode == "online" else None
        run = wandb.init(mode=mode, resume=resume, settings=settings, **self.init)
        run.define_metric(self.axis)
        run.define_metric("*", step_metric=self.axis)
        return run

    def _guard(self, act: Callable[[], Any]) -> Any:
        if self.broken:
            return None
        try:
            return act()
        except Exception as error:
            self.broken = True
            _log.warning(f"W&B mirror stopped: {one_line(error)}; the fit goes on and {METRICS} has every number")
            return None


def stage_run(
    mode: str, group: str, project: str, run_dir: Path, step_id: str, stage: str, axis: str, **init: Any
) -> WandbRun:
    """The W&B run of one stage; its id joins what a resumed stage adds to what it logged before."""
    return WandbRun(
        mode,
        axis,
        id=f"{group}-{step_id.replace('/', '-')}",
        name=step_id,
        group=group,
        job_type=stage,
        project=project,
        tags=[f"round:{step_id.split('/')[0]}"],
        dir=str(run_dir),
        **init,
    )


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
