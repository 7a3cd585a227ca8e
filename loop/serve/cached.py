"""Values that many clients ask for and that are slow to make: made once for each state of what they are made of."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from anyio.to_thread import run_sync

T = TypeVar("T")
MOST = 256


class Cache:
    """Of one event loop. The newest value of each key, the least used go first."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.values: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
        self.turns: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, state: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, called in a thread, and by one client alone where several ask for the same."""
        found = self.values.get(key)
        if found is not None and found[0] == state:
            self.values.move_to_end(key)
            value: T = found[1]
            return value
        async with self.turns.setdefault(key, asyncio.Lock()):
            found = self.values.get(key)
            if found is None or found[0] != state:
                found = state, await run_sync(make)
                self.values[key] = found
                while len(self.values) > self.most:
                    self.turns.pop(self.values.popitem(last=False)[0], None)
        made: T = found[1]
        return made
