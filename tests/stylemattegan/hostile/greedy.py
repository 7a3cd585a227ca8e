"""A reader that wants more than it may have: `python -m` of it is a child of stylematte.untrusted.apart."""

from __future__ import annotations

import os
import signal

import numpy as np

from stylematte.untrusted.apart import Plain, serve


def read(data: memoryview, wish: str) -> Plain:
    if wish == "memory":
        return Plain({}, {"a": np.ones(2**30, np.float32)})
    if wish == "disk":
        return Plain({}, {"a": np.broadcast_to(np.float32(1), 2**26)})
    if wish == "words":
        return Plain({"a": "x" * 2**25}, {})
    if wish == "depth":
        return read(data, wish)
    if wish == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while wish == "time":
        pass
    return Plain({"a": os.environ["PYTHONPATH"]}, {})


if __name__ == "__main__":
    serve(read)
