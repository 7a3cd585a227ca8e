"""stylematte run CONFIG [key=value ...]"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path

from loop.cli.announce import Announcer
from loop.cli.redo import obtain_consent
from loop.config.fingerprints import fingerprints
from loop.config.load import ConfigError, load_config, to_yaml
from loop.config.schema import Config
from loop.engine import consent
from loop.engine.execute import execute
from loop.engine.files import write_atomically
from loop.engine.lock import one_writer
from loop.engine.step import step_folder
from loop.plan import plan
from loop.report.build import build_report
from loop.report.table import print_round_table, round_table
from loop.runfolder import is_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a YAML file, or a run folder to go on with")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for example run.rounds=3")
    parser.add_argument(
        "--redo", action="store_true", help="yes, make results again that took long (the present ones are kept)"
    )
    parser.add_argument("--json", action="store_true", help="the table of rounds, machine-readable")


def main(args: argparse.Namespace) -> int:
    path = args.config / "config.yaml" if is_run(args.config) else args.config
    if is_run(args.config) and any(word.startswith("run.dir=") for word in args.overrides):
        raise ConfigError(f"run.dir cannot be changed: {args.config} is the run; give a YAML file to start another")
    config = load_config(path, args.overrides)
    run_dir = args.config if is_run(args.config) else Path(config.run.dir)
    return run(config, run_dir, as_json=args.json, redo=args.redo)


def run(config: Config, run_dir: Path, as_json: bool = False, redo: bool = False) -> int:
    """Bring the run in `run_dir` up to date with `config`; prints as it goes.

    redo: results that took more than launch.ask_above seconds may be made again. Without it the user is asked on a
    terminal; NeedsConsent is raised, and nothing on disk has changed, where there is none or the answer is no.
    """
    started = time.monotonic()
    with one_writer(run_dir):
        steps = plan(config, fingerprints(config, run_dir))
        _check_backbone(config, run_dir)
        obtain_consent(config, run_dir, steps, redo, may_ask=not as_json)
        fingerprints(config, run_dir, keep=True)
        _write_config(config, run_dir)
        tracking = {"wandb": config.tracking.wandb.value, "project": config.tracking.project}
        try:
            with Announcer(config, run_dir) as announce:
                execute(run_dir, steps, config.launch, announce, {"tracking": tracking})
        except BaseException:
            with contextlib.suppress(Exception):  # what there is can be looked at; why it ended is what counts
                build_report(run_dir)
            raise
        consent.withdraw(run_dir)
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
        check_name(config.matter.network.backbone.name)
    except BackboneError as error:
        raise ConfigError(f"matter.network.backbone.name={config.matter.network.backbone.name}: {error}") from None


def _write_config(config: Config, run_dir: Path) -> None:
    text, path = to_yaml(config), run_dir / "config.yaml"
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text)
