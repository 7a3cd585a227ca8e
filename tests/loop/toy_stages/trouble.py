"""What goes wrong: config["how"] is crash, hang, wrong or deaf; the first config["times"] calls do it."""

import os
import time
from typing import Any

from loop.engine.heartbeat import beat
from loop.engine.stage import Context
from stylematte.errors import DataError


class BadData(DataError):
    pass


def run(ctx: Context) -> dict[str, Any]:
    tries = ctx.scratch / "tries"
    count = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (count + 1))
    (ctx.out / "half").write_text("of a result")
    beat(ctx.scratch)
    if count < ctx.config["times"]:
        _go_wrong(ctx.config["how"])
    (ctx.out / "half").unlink()
    (ctx.out / "text").write_text("well\n")
    return {"tries": count + 1}


def _go_wrong(how: str) -> None:
    print(f"about to {how}", flush=True)
    if how == "crash":
        os._exit(0)  # a good exit code and no result: it must not count as done
    if how == "wrong":
        raise BadData("photo.png is empty: replace it")
    if how == "fail":
        raise RuntimeError("out of luck")
    while True:
        time.sleep(0.05)
