"""Runs of the loop from Python: the whole loop, a matter alone, a generator alone.

    loop.run("configs/quickstart.yaml", "run.rounds=1")            # the same call resumes
    loop.train_matter("configs/quickstart.yaml")                   # the real pairs' matter: round 0 and no more
    loop.fit_generator("configs/quickstart.yaml", cutouts="hats")  # a generator of a folder of RGBA pictures

Configurations are YAML files, run folders to go on with, or `Config` objects; then come key=value words.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.config.fingerprints import fingerprints, folder_fingerprint
from loop.config.load import load_config, to_yaml
from loop.config.reviews import read_reviews
from loop.config.schema import Config
from loop.engine import consent
from loop.engine.execute import Event, execute
from loop.engine.files import write_atomically
from loop.engine.lock import one_writer
from loop.engine.step import Step, step_folder
from loop.plan import fits_generators, plan, plan_generator_alone, reviewed
from loop.report.build import GrowingReport, build_report
from loop.report.gain import gain_sentences
from loop.report.read import read_run
from loop.report.table import round_table
from loop.runs.folder import is_run
from loop.runs.gate import RoundWatch
from loop.runs.redo import Agree, obtain_consent
from loop.runs.start import check_start, obtain_published
from loop.runs.status import amount
from loop.runs.verify import sound
from loop.tracking.provenance import record_provenance
from stylematte.errors import ConfigError, UserError
from stylemattegan.config import CompositeDiscriminatorKind

if TYPE_CHECKING:
    from stylematte.inference.matter import Matter
    from stylemattegan.generator_folder import LoadedGenerator

log = logging.getLogger("stylematte")

Source = str | Path | Config
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its page."""

    folder: Path
    report: Path

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The table of rounds: a row for each round and domain."""
        headers, rows = round_table(self.folder)
        return [dict(zip(headers, row, strict=True)) for row in rows]

    @property
    def gain(self) -> list[str]:
        """What the run gained over its control, in sentences; or that it has none (`loop.report.gain`)."""
        return gain_sentences(read_run(self.folder))

    def matter(self) -> Matter:
        """The best one, never worse on the held-out pictures than round 0's."""
        from stylematte.inference.matter import load, matter_folder

        return load(sound(matter_folder(self.folder)))

    def generator(self, domain: str | None = None) -> LoadedGenerator:
        """The selected one of a domain."""
        from stylemattegan.generator_folder import load

        return load(self.folder, domain)


def log_event(event: Event) -> None:
    """The usual listener: a line in the log "stylematte" for what happens to a step."""
    if event.kind not in {"fresh", "progress"}:
        log.info(event.line())


def run(source: Source, *overrides: str, redo: bool = False, on_event: Listener = log_event) -> Run:
    """Bring a run up to date with its configuration; the same call resumes.

    redo: results that took long may be made again (they are kept until `stylematte gc`). on_event: hears what happens.
    Raises ConfigError, DataError, GateStop, Stopped, StageFailed, RunLocked.
    """
    config, folder = configured(source, overrides)
    return bring_up_to_date(config, folder, lambda listing, seconds: redo, on_event, log.info)


def train_matter(source: Source, *overrides: str, redo: bool = False, on_event: Listener = log_event) -> Matter:
    """Fit a matter on real pairs alone: round 0 of the configuration's run, which `run` goes on from. Raises as it."""
    config, folder = configured(source, overrides)
    with one_writer(folder):
        make(config, folder, lambda steps: needed(steps, "00/accept"), lambda listing, seconds: redo, on_event)
    return Run(folder, folder / "report.html").matter()


def fit_generator(
    source: Source,
    *overrides: str,
    domain: str | None = None,
    cutouts: str | Path | None = None,
    redo: bool = False,
    on_event: Listener = log_event,
) -> LoadedGenerator:
    """Fit one generator: on a folder of RGBA cut-outs, or else on round 1's labels of the configuration's run.

    domain: of the run, if it has several. Raises as `run`, and UserError if the fit diverged.
    """
    from stylemattegan.generator_folder import load_folder

    config, folder = configured(source, overrides)

    def agree(listing: str, seconds: float) -> bool:
        return redo

    with one_writer(folder):
        if cutouts is None:
            target = f"01/{_domain(config, domain)}/select_generator"
            make(config, folder, lambda steps: needed(steps, target), agree, on_event)
        else:
            steps = _on_cutouts(config, Path(cutouts).expanduser().resolve())
            target = steps[-1].id
            make(config, folder, lambda _: steps, agree, on_event)
    made = step_folder(folder, target)
    if not (made / "generator.json").is_file():
        raise UserError(f"{target}: the fit ended without a generator; {made} says why")
    return load_folder(made)


def configured(source: Source, overrides: Sequence[str] = ()) -> tuple[Config, Path]:
    """A configuration and the folder of its run. Raises ConfigError."""
    if isinstance(source, Config):
        if overrides:
            raise ConfigError("key=value words go with a YAML file or a run folder; change the Config itself")
        return source, Path(os.path.expanduser(source.run.dir))
    path = Path(source)
    if not is_run(path):
        config = load_config(path, overrides)
        return config, Path(config.run.dir)
    if any(word.startswith("run.dir=") for word in overrides):
        raise ConfigError(f"run.dir cannot be changed: {path} is the run; give a YAML file to start another")
    return load_config(path / "config.yaml", overrides), path


def bring_up_to_date(
    config: Config, folder: Path, agree: Agree, on_event: Listener, on_round: Callable[[str], None]
) -> Run:
    """`run` with the callbacks of the command line. on_round: gets one line on each round that is made."""
    watch, page = RoundWatch(config, folder, on_round), GrowingReport(folder)

    def listen(event: Event) -> None:
        on_event(event)
        page(event)
        watch(event)

    with one_writer(folder):
        try:
            make(config, folder, lambda steps: steps, agree, listen)
        except BaseException as error:
            with contextlib.suppress(Exception):  # what there is can be looked at; why it ended is what counts
                build_report(folder)
            watch.failed(error)
            raise
        watch.mirror.close()
        return Run(folder, build_report(folder))


def needed(steps: Sequence[Step], target: str) -> list[Step]:
    """The steps that `target` is made of, and itself, in the plan's order."""
    by_id = {step.id: step for step in steps}
    wanted, waiting = set[str](), [target]
    while waiting:
        step = by_id[waiting.pop()]
        wanted.add(step.id)
        waiting += step.inputs.values()
    return [step for step in steps if step.id in wanted]


def make(
    config: Config,
    folder: Path,
    choose: Callable[[list[Step]], list[Step]],
    agree: Agree,
    on_event: Listener,
    shared: Path | None = None,
) -> None:
    """Check, ask, and make the chosen steps of the plan. The caller holds the run's lock.

    shared: a folder of results that several runs share (`loop.engine.shared`).
    """
    obtain_published(config)
    planned = plan(config, fingerprints(config, folder, full=True))
    steps = choose(planned)
    if any(step.stage == "fit_matter" for step in steps):
        check_start(config, folder)
    obtain_consent(config, folder, steps, agree)
    text, path = to_yaml(config), folder / "config.yaml"
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text)
    record_provenance(folder)
    followed = config.tracking
    tracking: dict[str, Any] = {"wandb": followed.wandb.value, "project": followed.project, "code": followed.code}
    tracking |= {"previews": followed.previews, "tensorboard": followed.tensorboard}

    def as_reviewed(step: Step) -> Step:
        return reviewed(step, read_reviews(folder))

    execute(folder, steps, config.launch, on_event, {"tracking": tracking}, shared, amount, planned, as_reviewed)
    consent.withdraw(folder)


def _domain(config: Config, domain: str | None) -> str:
    there = list(config.data.domains)
    domain = there[0] if domain is None and len(there) == 1 else domain
    if domain not in there:
        raise ConfigError(f"domain {domain}: expected one of data.domains, {', '.join(there)}")
    if not config.run.rounds:
        raise ConfigError(
            "run.rounds=0: a generator is fitted in round 1; set run.rounds=1, or give a folder of cutouts"
        )
    if not fits_generators(config):
        raise ConfigError(
            "no matter learns from a generator's pairs, so the run fits none; set matter.later.real_weight below 1, "
            "matter.later.roads.pairs above 0 and synthesize.source=generator, or give a folder of cutouts"
        )
    return domain


def _on_cutouts(config: Config, cutouts: Path) -> list[Step]:
    if config.generator.composite_discriminator.kind is not CompositeDiscriminatorKind.none:
        raise ConfigError("generator.composite_discriminator needs backgrounds, which a folder of cut-outs has not")
    name = cutouts.name.strip(".") or "cutouts"
    return plan_generator_alone(config, name, str(cutouts), folder_fingerprint(str(cutouts)))
