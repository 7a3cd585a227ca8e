"""stylematte run CONFIG [key=value ...]"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loop.config import Config
from loop.configfile import ConfigError, load_config, to_yaml
from loop.execute import Event, execute
from loop.lock import one_writer
from loop.plan import plan
from loop.report import build_report, print_round_table, round_table
from loop.runfolder import is_run
from loop.stage import StageRecord
from loop.step import step_folder
from loop.tracking import log_round


class GateStop(ValueError):
    """The gate refused several rounds in a row; nothing is broken, but going on would waste time."""

    exit_code = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a YAML file, or a run folder to go on with")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for example run.rounds=3")
    parser.add_argument("--json", action="store_true", help="the table of rounds, machine-readable")


def main(args: argparse.Namespace) -> int:
    path = args.config / "config.yaml" if is_run(args.config) else args.config
    if is_run(args.config) and any(word.startswith("run.dir=") for word in args.overrides):
        raise ConfigError(f"run.dir cannot be changed: {args.config} is the run; give a YAML file to start another")
    config = load_config(path, args.overrides)
    run_dir = args.config if is_run(args.config) else Path(config.run.dir)
    return run(config, run_dir, as_json=args.json)


def run(config: Config, run_dir: Path, as_json: bool = False) -> int:
    """Bring the run in `run_dir` up to date with `config`; prints as it goes."""
    steps = plan(config)
    started = time.monotonic()
    with one_writer(run_dir):
        _check_backbone(config, run_dir)
        _write_config(config, run_dir)
        tracking = {"wandb": config.tracking.wandb.value, "project": config.tracking.project}
        try:
            execute(run_dir, steps, config.launch, _announcer(config, run_dir), {"tracking": tracking})
        except BaseException:
            with contextlib.suppress(Exception):  # what there is can be looked at; why it ended is what counts
                build_report(run_dir)
            raise
        page = build_report(run_dir)
    if as_json:
        headers, rows = round_table(run_dir)
        print(json.dumps({"report": str(page), "rounds": [dict(zip(headers, r, strict=True)) for r in rows]}, indent=2))
        return 0
    print_round_table(run_dir)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print(f"done in {minutes} min {seconds} s\nreport: {page}")
    return 0


def _check_backbone(config: Config, run_dir: Path) -> None:
    """A name that timm does not know is refused before pictures are prepared; asked only while that matters."""
    if (step_folder(run_dir, "00/fit_matter") / "stage.json").is_file():
        return
    from stylematte.networks.backbone import BackboneError, check_name

    try:
        check_name(config.matter.backbone.name)
    except BackboneError as error:
        raise ConfigError(f"matter.backbone.name={config.matter.backbone.name}: {error}") from None


def _write_config(config: Config, run_dir: Path) -> None:
    text, path = to_yaml(config), run_dir / "config.yaml"
    if not path.is_file() or path.read_text() != text:
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(path)


def _announcer(config: Config, run_dir: Path) -> Callable[[Event], None]:
    refused = 0
    finished: list[StageRecord] = []  # of the round under way

    def announce(event: Event) -> None:
        nonlocal refused
        if event.record is not None:
            finished.append(event.record)
        if event.kind != "fresh":
            print(event.line(), file=sys.stderr, flush=True)
        if event.step.stage != "accept" or event.kind not in {"done", "fresh"} or event.record is None:
            return
        metrics = event.record.metrics
        if event.kind == "done":
            _tell_round(config, run_dir, event.step.round, metrics, finished)
        finished.clear()
        refused = 0 if metrics["accepted"] else refused + 1
        if config.accept.stop_after and refused >= config.accept.stop_after:
            raise GateStop(
                f"round {event.step.round}: {refused} rounds in a row were refused ({metrics['reason']}); "
                f"the matter of round {metrics['accepted_round']} stands; raise accept.stop_after to go on"
            )

    return announce


def _tell_round(config: Config, run_dir: Path, round_: int, metrics: dict[str, Any], stages: list[StageRecord]) -> None:
    evaluated = json.loads((step_folder(run_dir, f"{round_:02d}/evaluate") / "stage.json").read_text())["metrics"]
    flat = {f"{domain}/{key}": v for domain, told in evaluated.items() for key, v in told.items() if key != "kind"}
    sad = ", ".join(f"{domain} SAD {told['SAD']:.4f}" for domain, told in evaluated.items())
    verdict = "accepted" if metrics["accepted"] else "refused"
    print(f"round {round_} {verdict}: {sad}. {metrics.get('reason', '')}".rstrip(), file=sys.stderr, flush=True)
    images = {"probes": step_folder(run_dir, f"{round_:02d}/evaluate") / "probes.png"}
    for domain in config.data.domains:
        judged = step_folder(run_dir, f"{round_:02d}/{domain}/judge")
        images[f"{domain}/generated"] = judged / "sheet.png"
        if (judged / "stage.json").is_file():
            told = json.loads((judged / "stage.json").read_text())["metrics"]
            flat |= {f"{domain}/{key}": told[key] for key in ("frechet", "kid") if told.get(key) is not None}
    log_round(config, run_dir, round_, flat, metrics, images, stages)
