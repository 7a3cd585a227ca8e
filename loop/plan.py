"""Which steps a run has and what feeds what. Data, no work. Start reading here.

    round 0:   prepare -> fit_matter -> evaluate -> accept
    round r:   per domain   label -> fit_generator -> select_generator -> synthesize -> select
               then once    fit_matter (real pairs + kept pairs of rounds 1..r) -> evaluate -> accept

Real pairs are what `prepare` wrote: photos with an alpha, and photos with a trimap (their own, or made of their mask).
With matter.later.unlabelled_share, `fit_matter` also reads each domain's `label`: photos that nobody labelled, with
trimaps of what the accepted matter is sure of.

Between rounds only weights and pools travel: the accepted matter, the generator that stands, the kept pairs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from loop.config.checks_init import INIT_FILES
from loop.config.fingerprints import content_digest, file_fingerprint, fingerprint
from loop.config.load import to_dict
from loop.config.schema import Config
from loop.engine.step import Step

PREPARE = "00/prepare"

# Raise a stage's number when its output changes for equal inputs: every run then makes it (and what follows) again.
VERSIONS = {
    "prepare": 3,
    "label": 3,
    "fit_generator": 4,
    "select_generator": 4,
    "synthesize": 2,
    "select": 1,
    "fit_matter": 4,
    "evaluate": 2,
    "accept": 2,
}
FITS = {"fit_matter", "fit_generator"}


def plan(config: Config) -> list[Step]:
    """Every step of the run in an order in which it can be done."""
    tree = to_dict(config)
    tree["alpha_judges"] = _alpha_judges(tree["generator"])
    steps = [
        _step(config, "prepare", 0, None, {}, _prepare(config, tree)),
        *_judged_fit(config, tree, 0, {}),
    ]
    for round_ in range(1, config.run.rounds + 1):
        for domain in config.data.domains:
            steps += _domain_steps(config, tree, round_, domain)
        pairs = {
            f"pairs/{earlier:02d}/{domain}": f"{earlier:02d}/{domain}/select"
            for earlier in range(1, round_ + 1)
            for domain in config.data.domains
        }
        labels = {f"labels/{domain}": f"{round_:02d}/{domain}/label" for domain in config.data.domains}
        steps += _judged_fit(config, tree, round_, pairs | (labels if config.matter.later.unlabelled_share else {}))
    return steps


def _prepare(config: Config, tree: dict[str, Any]) -> dict[str, Any]:
    """All of data, but what a mask is taken for; and whether a fit wants closed-form mattes."""
    asked = any(fit.losses.closed_form > 0 for fit in (config.matter.first, config.matter.later))
    data = {key: value for key, value in tree["data"].items() if key != "mask_as"}
    return {**data, "closed_form": asked, "fingerprint": fingerprint(config.data.root)}


def _domain_steps(config: Config, tree: dict[str, Any], round_: int, domain: str) -> list[Step]:
    here = f"{round_:02d}/{domain}"
    matter = f"{round_ - 1:02d}/accept"
    standing = f"{round_ - 1:02d}/{domain}/select_generator"
    generator = tree["generator"]
    training = {"data": PREPARE, "labels": f"{here}/label"}
    label = {**tree["label"], "trimaps": config.matter.later.unlabelled_share > 0}
    return [
        _step(config, "label", round_, domain, {"data": PREPARE, "matter": matter}, label),
        _step(
            config,
            "fit_generator",
            round_,
            domain,
            {**training, **({"previous": standing} if round_ > 1 else {})},
            # R1's second derivative, the filters and the running means want float32.
            {
                "network": generator["network"],
                "fit": generator["fit"],
                "precision": "32-true",
                **tree["alpha_judges"],
                **_start(generator, domain),
            },
        ),
        _step(
            config,
            "select_generator",
            round_,
            domain,
            # Features are round 0's and their scale round 1's in every round, so that all distances can be compared.
            {
                **training,
                "generator": f"{here}/fit_generator",
                "features": "00/accept",
                "scale": f"01/{domain}/label",
                **({"former": standing} if round_ > 1 else {}),
            },
            {"images": generator["select_images"]},
        ),
        _step(config, "synthesize", round_, domain, {"generator": f"{here}/select_generator"}, tree["synthesize"]),
        _step(
            config,
            "select",
            round_,
            domain,
            {"data": PREPARE, "matter": matter, "pool": f"{here}/synthesize"},
            tree["select"],
        ),
    ]


def _alpha_judges(generator: dict[str, Any]) -> dict[str, Any]:
    """What of generator.composite_discriminator and generator.alpha_regularizer is on; nothing else enters the key."""
    second, honest = generator["composite_discriminator"], generator["alpha_regularizer"]
    asked: dict[str, Any] = {"alpha_regularizer": honest} if any(honest.values()) else {}
    if second["kind"] == "none":
        return asked
    unread = set() if second["kind"] == "projected" else {"backbone", "random_backbone", "input_size"}
    asked["composite_discriminator"] = {key: value for key, value in second.items() if key not in unread}
    if not unread and second["backbone"]["weights"]:
        asked["composite_discriminator"]["backbone_digest"] = content_digest(second["backbone"]["weights"])
    return asked


def _start(generator: dict[str, Any], domain: str) -> dict[str, Any]:
    """The folder that the domain's first fit goes on from, and the digests of its files; nothing without one.

    Later fits need it too: it says how the networks are built, and is gone back to if the first fit failed.
    """
    folder = generator["init_from"].get(domain)
    if folder is None:
        return {}
    digests = {name: content_digest(str(Path(folder) / name)) for name in INIT_FILES}
    return {"init_from": folder, "init_digests": digests}


def _judged_fit(config: Config, tree: dict[str, Any], round_: int, pools: dict[str, str]) -> list[Step]:
    here = f"{round_:02d}"
    matter = dict(tree["matter"])
    fit = matter.pop("later" if round_ else "first")
    matter.pop("first" if round_ else "later")
    matter |= {"fit": fit, "precision": config.launch.precision, "extra_subjects": config.data.extra_subjects}
    matter["mask_as"] = tree["data"]["mask_as"]
    if matter["backbone"]["weights"] and not round_:
        matter["weights_fingerprint"] = file_fingerprint(matter["backbone"]["weights"])
    before = {"matter": f"{round_ - 1:02d}/accept", **pools} if round_ else {}
    gate = {"best": f"{round_ - 1:02d}/accept", "first": "00/accept"} if round_ else {}
    return [
        _step(config, "fit_matter", round_, None, {"data": PREPARE, **before}, matter),
        _step(config, "evaluate", round_, None, {"data": PREPARE, "matter": f"{here}/fit_matter"}, {}),
        _step(
            config,
            "accept",
            round_,
            None,
            {"candidate": f"{here}/fit_matter", "scores": f"{here}/evaluate", **gate},
            {key: value for key, value in tree["accept"].items() if key != "stop_after"},
        ),
    ]


def _step(
    config: Config, stage: str, round_: int, domain: str | None, inputs: dict[str, str], tree: dict[str, Any]
) -> Step:
    id_ = "/".join(part for part in (f"{round_:02d}", domain, stage) if part)
    digest = hashlib.sha256(f"{config.run.seed}\x1f{id_}".encode()).digest()
    return Step(
        id=id_,
        stage=stage,
        round=round_,
        domain=domain,
        inputs=inputs,
        config={**tree, "round": round_, "domain": domain, "size": config.data.size, "domains": config.data.domains},
        seed=int.from_bytes(digest[:6], "big"),
        fit=stage in FITS,
        version=VERSIONS[stage],
    )
