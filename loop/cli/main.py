"""The command line: `stylematte VERB ...`. Parses, calls the verb, and prints every error a user can cause as one line.

Exit codes are those of `loop.cli.exit_codes`.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from loop.cli.console import warnings_as_lines
from loop.cli.exit_codes import EXIT_CODES, exit_code
from loop.engine.launchers.environment import waiting
from stylematte.errors import ConfigError

VERBS = {
    "run": "co-train a matter and its generators; the same command resumes",
    "train": "the matter alone: round 0 of a run, with a curve, a sheet and the best weights on held-out pictures",
    "train-generator": "the generator alone: on a folder of RGBA cut-outs, or on round 1's labels of a run",
    "plan": "the steps of a configuration or a run: fresh, stale or missing, and the disk they need",
    "status": "which steps of a run are done, what they took, their metrics",
    "experiment": "a question asked of the loop: arms x seeds of runs, one table; the same command resumes",
    "verify": "read all of a run's results and checkpoints: what is damaged",
    "gc": "what a run keeps beside its results: list and remove earlier results and unfinished fits",
    "rollback": "take a run back to the end of a round; the later ones are kept aside and drawn anew",
    "serve": "pages of the runs in a folder, live; steering, review of pairs, a queue, matting over HTTP",
    "report": "one self-contained HTML page about a run",
    "matte": "photos -> alpha and cut-out PNG",
    "video": "a video -> alpha, cut-outs or a composite, steady over time; the same command resumes",
    "sample": "RGBA pictures from a generator: by seeds, moved, turned, as a walk",
    "measure": "distances, precision and recall, alphas, path length, equivariance of a generator",
    "invert": "cut-outs or photos -> where they are in a generator, and how well it gives them back",
    "enhance": "samples or photos moved in latent space to where a matter mattes them easily, and pairs of them",
    "edit-directions": "the widest directions of a generator's styles, as strips",
    "dataset": "a folder or ZIP of pictures -> a data set of squares for a generator",
    "build-dataset": "from a generator to a data set of foregrounds and alphas; the same command resumes",
    "pool": "pools of pairs in tar shards: stats, verify, dedup, split, export",
    "score": "SAD, MSE, MAD, Grad, Conn of mattes against the truth",
    "score-video": "MAD, MSE, Grad, Conn, dtSSD of clips of mattes against the truth",
    "make-clips": "cut-outs animated over moving backgrounds, with the exact alpha of every frame",
    "evaluate": "inference and scoring of a matter on a data set; the same command resumes",
    "data": "check a data set: counts, sizes, broken or mismatched files, one photo in two splits",
    "loss": "value, floor and excess of a loss on one picture, and where it hurts",
    "export": "the final matter and generators as safetensors, JSON and a model card",
    "import-weights": "the authors' checkpoint -> a matter folder (safetensors + JSON)",
    "import-generator": "an official StyleGAN3 snapshot (.pkl) -> a generator folder (safetensors + JSON)",
    "trimap": "masks, alphas or photos -> what is surely foreground, surely background, unknown",
    "refine": "alphas or cut-outs -> the same without haze, specks and false holes; figures and a verdict of each",
    "label": "photos + trimaps -> pseudo-alpha without learning, as a data root",
    "doctor": "what this machine has: torch, compiler, GPU, disk, W&B, data, licences of weights",
}


TRAINING = {"run", "experiment", "train", "train-generator"}
TRAINING_NEEDS = ("lightning", "torchmetrics", "albumentations", "kornia", "wandb")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="stylematte", description="A self-training loop for image matting.", epilog=EXIT_CODES
    )
    top.add_argument("--traceback", action="store_true", help="show where an error came from")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, text in VERBS.items():
        module = importlib.import_module(f"loop.cli.{verb.replace('-', '_')}")
        sub = verbs.add_parser(verb, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        module.add_arguments(sub)
        sub.set_defaults(main=module.main)
    return top


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of one verb. A verb with `words` takes key=value after its options, too."""
    top = parser()
    args, rest = top.parse_known_args(argv)
    if rest and ("words" not in args or any(word.startswith("-") or "=" not in word for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.words = [*args.words, *rest]
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code. `sys.exit(main())` is the console script."""
    args = parse(argv)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its version at import
    os.environ.update(waiting())  # before torch is imported: stages in this process run beside fits in others
    try:
        check_packages(args.verb)
        with warnings_as_lines():
            return int(args.main(args))
    except KeyboardInterrupt as error:
        print("stylematte: interrupted", file=sys.stderr)
        return exit_code(error) or 1
    except BrokenPipeError:
        return 0
    except Exception as error:
        if args.traceback:
            raise
        code = exit_code(error)
        if code is None:
            raise
        for line in message(error).splitlines() or [type(error).__name__]:
            print(f"stylematte: {line}", file=sys.stderr)
        return code


def check_packages(verb: str) -> None:
    """Raises ConfigError where a verb that trains lacks the packages of the extra `train`: at once, not in a fit."""
    missing = [name for name in TRAINING_NEEDS if verb in TRAINING and importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"`stylematte {verb}` needs {', '.join(missing)}: pip install 'stylematte[train]'")


def message(error: Exception) -> str:
    """What the error says to a user."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}): free some space, then type the same command"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
