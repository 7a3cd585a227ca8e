"""Writes one line made from its seed, config and inputs; notes every call in a file outside the run folder."""

import time
from pathlib import Path
from typing import Any

from loop.engine.signals import stop_point
from loop.engine.stage import Context


def run(ctx: Context) -> dict[str, Any]:
    with open(ctx.config["calls"], "a") as file:
        file.write(f"{ctx.step_id}\n")
    until = time.monotonic() + ctx.config.get("sleep", 0.0)
    while time.monotonic() < until:
        stop_point(f"{ctx.step_id} stopped")
        time.sleep(0.005)
    read = "".join((Path(folder) / "text").read_text() for _, folder in sorted(ctx.inputs.items()))
    (ctx.out / "part").mkdir()
    (ctx.out / "part" / "seed").write_text(str(ctx.seed))
    (ctx.out / "text").write_text(f"{ctx.config.get('word', '')}{read}"[:2000] + "\n")
    return {"length": len(read)}
