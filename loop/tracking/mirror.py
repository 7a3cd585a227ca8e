"""A mirror of what happens, for people to look at. Nothing reads it back, and no failure in it reaches a fit.

Two places: `metrics.jsonl` in the stage's own folder (always), and Weights & Biases (online, offline or not at all).
W&B gets one run per stage, in one group, and one controller run with x-axis `round`. A fit fills its run while it
works; the other stages' runs are written when their round ends, with what they measured and the pictures they left.
The run ids are functions of the run folder and the step, so a resumed fit goes on in the same W&B run.
`python -m loop.tracking.mirror` is how the orchestrator mirrors a round: in a child process, which may be slow or hang
without holding up the loop.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from loop.engine.stage import StageRecord
from loop.engine.step import step_folder
from loop.tracking.curves import METRICS, MetricsFile, number

_log = logging.getLogger(__name__)


class WandbMirror:
    """One W&B run, opened at the first use. Any exception ends the mirror with one warning; the caller goes on."""

    def __init__(self, mode: str, **init: Any) -> None:
        self._mode, self._init, self._run, self.broken = mode, init, None, mode == "disabled"

    def log(self, metrics: Mapping[str, Any]) -> None:
        self._guard(lambda: self._opened().log(dict(metrics)))

    def config(self, values: Mapping[str, Any]) -> None:
        self._guard(lambda: self._opened().config.update(_plain(values), allow_val_change=True))

    def image(self, path: Path) -> Any:
        """A wandb.Image of a picture file, for `log`; None once the mirror is broken."""
        return self._guard(lambda: _wandb().Image(str(path)))

    def finish(self) -> None:
        """Must be called: without it the next run opened in this process would silently be this one."""
        if self._run is not None:
            run, self._run = self._run, None
            self._guard(lambda: run.finish())

    def _opened(self) -> Any:
        if self._run is None:
            try:
                self._run = self._open(self._mode)
            except Exception as error:
                if self._mode != "online":
                    raise
                _log.warning(f"W&B cannot be reached ({_one_line(error)}); this run is mirrored offline instead")
                self._run = self._open("offline")
        return self._run

    def _open(self, mode: str) -> Any:
        wandb = _wandb()
        Path(self._init["dir"]).mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, init_timeout=30)
        # Offline, "allow" would start at step 0 in a second folder with a warning; `wandb sync` joins by id anyway.
        resume = "allow" if mode == "online" else None
        init = {key: value for key, value in self._init.items() if key != "axis"}
        run = wandb.init(mode=mode, resume=resume, settings=settings, **init)
        run.define_metric(self._init["axis"])
        run.define_metric("*", step_metric=self._init["axis"])
        return run

    def _guard(self, act: Any) -> Any:
        if self.broken:
            return None
        try:
            return act()
        except Exception as error:
            self.broken = True
            _log.warning(f"W&B mirror stopped: {_one_line(error)}; the fit goes on and {METRICS} has every number")
            return None


def stage_logger(ctx: Any) -> list[Any]:
    """The loggers of the fit that `ctx` (a Context) describes; its curve grows in scratch.

    ctx.runtime may hold "tracking": {"wandb": …, "project": …}; without it nothing goes to W&B.
    """
    tracking = SimpleNamespace(**{"wandb": "disabled", "project": "stylematte", **(ctx.runtime.get("tracking") or {})})
    run_dir = Path(ctx.runtime.get("run_dir", ctx.scratch.parent))
    return fit_loggers(tracking, run_dir, ctx.step_id, ctx.step_id.rpartition("/")[2], ctx.scratch)


def fit_loggers(tracking: Any, run_dir: Path, step_id: str, stage: str, folder: Path) -> list[Any]:
    """The Lightning loggers of one fit: `folder`/metrics.jsonl, and W&B unless tracking.wandb is disabled.

    tracking: TrackingConfig (or anything with .wandb and .project). step_id: such as "01/portraits/fit_generator".
    folder: survives a crash (the stage's scratch); copy metrics.jsonl to the result at the end. Only rank 0
    writes.
    """
    loggers: list[Any] = [_lightning_logger(MetricsFile(Path(folder) / METRICS), "jsonl", step_id)]
    mode = _mode(tracking)
    if mode != "disabled":
        name = loop_id(run_dir)
        axis = "kimg" if stage == "fit_generator" else "trainer/global_step"  # Lightning counts G and D steps
        mirror = _stage_mirror(mode, name, tracking.project, run_dir, step_id, stage, axis=axis)
        loggers.append(_lightning_logger(mirror, "wandb", step_id))
    return loggers


def _stage_mirror(mode: str, group: str, project: str, run_dir: Path, step_id: str, stage: str, **init: Any) -> Any:
    """The W&B run of one stage; its id joins what a resumed stage adds to what it said before."""
    return WandbMirror(
        mode,
        id=f"{group}-{step_id.replace('/', '-')}",
        name=step_id,
        group=group,
        job_type=stage,
        project=project,
        tags=[f"round:{step_id.split('/')[0]}"],
        dir=str(run_dir),
        **init,
    )


def log_round(
    config: Any,
    run_dir: Path,
    round: int,
    metrics: Mapping[str, float],
    verdict: Mapping[str, Any],
    images: Mapping[str, Path] | None = None,
    stages: Sequence[StageRecord] = (),
    timeout: float = 120.0,
) -> bool:
    """Mirror one finished round to the controller run, in a child process. True when it got there; never raises.

    metrics: flat, such as {"portraits/SAD": 0.4}. verdict: {"accepted": bool, "reason": str, …}. images: name -> PNG.
    stages: what the round's stages said of themselves; each that is not a fit gets a run of its own.
    Safe to call from the orchestrator: this process imports neither wandb nor lightning.
    """
    try:
        if _mode(config.tracking) == "disabled":
            return False
        order = {
            "mode": _mode(config.tracking),
            "project": config.tracking.project,
            "run_dir": str(run_dir),
            "round": round,
            "metrics": {name: number(value) for name, value in metrics.items()},
            "verdict": {"accepted": bool(verdict.get("accepted")), "reason": str(verdict.get("reason", ""))},
            "images": {name: str(path) for name, path in (images or {}).items() if Path(path).is_file()},
            "config": _plain(config),
            "stages": [_told(run_dir, record) for record in stages if not record.stage.startswith("fit_")],
        }
        return _in_child(json.dumps(order, default=str), timeout)
    except Exception as error:
        _log.warning(f"round {round} was not mirrored to W&B: {_one_line(error)}")
        return False


def _told(run_dir: Path, record: StageRecord) -> dict[str, Any]:
    """One finished stage, as the child needs it."""
    folder = step_folder(run_dir, record.step)
    return {
        "id": record.step,
        "stage": record.stage,
        "config": record.config,
        "metrics": {"seconds": record.seconds, **_flat(record.metrics)},
        "images": {path.stem: str(path) for path in sorted(folder.glob("*.png"))},
    }


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | str]:
    """Nested metrics as "a/b/c": numbers and one-line texts; what is missing (None) or a list has no curve."""
    flat: dict[str, float | str] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, bool):
            flat[prefix + name] = int(value)
        elif isinstance(value, (int, float, str)):
            flat[prefix + name] = value
    return flat


def loop_id(run_dir: Path) -> str:
    """The run folder's random name in W&B, made once; processes that race agree on the first one's."""
    path = Path(run_dir) / "loop_id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".loop_id.{os.getpid()}.{secrets.token_hex(4)}")
        fresh.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
        try:
            os.link(fresh, path)  # fails if another process was first, unlike a rename
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="utf-8").strip()


def _lightning_logger(target: MetricsFile | WandbMirror, name: str, step_id: str) -> Any:
    """`target` behind Lightning's Logger interface. Lightning is imported here and nowhere above."""
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.utilities import rank_zero_only

    class Mirror(Logger):
        @property
        def name(self) -> str:
            return name

        @property
        def version(self) -> str:
            return step_id

        @rank_zero_only
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            at = 0 if step is None else step
            if isinstance(target, WandbMirror):
                target.log({**metrics, "trainer/global_step": at})
                return
            try:
                target.write(at, metrics)
            except OSError as error:
                _log.warning(f"{target.path} was not written: {_one_line(error)}")

        @rank_zero_only
        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
            if isinstance(target, WandbMirror):
                target.config(params)

        @rank_zero_only
        def finalize(self, status: str) -> None:
            if isinstance(target, WandbMirror):
                target.finish()

    return Mirror()


def _in_child(order: str, timeout: float) -> bool:
    """Run this module on `order`; a child that outlives `timeout` is ended with all it started."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    child = subprocess.Popen(
        [sys.executable, "-m", "loop.tracking.mirror"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        _, said = child.communicate(order, timeout=timeout)
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        said = f"no answer in {timeout:g} s"
    if child.returncode:
        last = (said.strip().splitlines() or ["no reason given"])[-1]
        _log.warning(f"the round was not mirrored to W&B: {last}")
    return child.returncode == 0


def _mirror_round(order: dict[str, Any]) -> bool:
    """What the child does: one point on every curve of the controller run, then one run for each stage."""
    run_dir = Path(order["run_dir"])
    name = loop_id(run_dir)
    mirror = WandbMirror(
        order["mode"],
        axis="round",
        id=name,
        name=name,
        group=name,
        job_type="loop",
        project=order["project"],
        config=order["config"],
        dir=order["run_dir"],
    )
    point = {"round": order["round"], **order["metrics"], "accepted": int(order["verdict"]["accepted"])}
    point["verdict"] = order["verdict"]["reason"]
    mirror.log(point | {label: mirror.image(Path(path)) for label, path in order["images"].items()})
    mirror.finish()
    stages = [_mirror_stage(order, name, told) for told in order["stages"]] if not mirror.broken else [False]
    return not mirror.broken and all(stages)


def _mirror_stage(order: dict[str, Any], group: str, told: dict[str, Any]) -> bool:
    mirror = _stage_mirror(
        order["mode"], group, order["project"], Path(order["run_dir"]), told["id"], told["stage"],
        axis="round", config=told["config"],
    )  # fmt: skip
    images = {name: mirror.image(Path(path)) for name, path in told["images"].items()}
    mirror.log({"round": order["round"], **told["metrics"], **images})
    mirror.finish()
    return not mirror.broken


def _wandb() -> Any:
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    return wandb


def _mode(tracking: Any) -> str:
    return str(getattr(tracking.wandb, "value", tracking.wandb))


def _plain(config: Any) -> Any:
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


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


if __name__ == "__main__":
    sys.exit(0 if _mirror_round(json.load(sys.stdin)) else 1)
