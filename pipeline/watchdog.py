"""Whether a worker has been put aside for good: its broker answers, and the group does not give it anything to do.

What the group, Kafka's client and Faust think of each other can come apart: a worker that was told to drop its
partitions and is given none, a rebalance that never ends, a member that the group does not know and does not take in.
Each such case is a mistake of somebody; the watchdog needs to know none of them. A worker that may not act for longer
than any of it takes leaves the group and joins it anew, with what the changelog says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable

log = logging.getLogger("sunshave.worker")

LOOK_S = 1.0
"""Between two looks. More finds out later; less asks the broker all the time."""
SESSIONS = 2
"""A member that is gone is missed after one session, and the others join again within the next."""
MARGIN_S = 5.0
"""For a loaded broker. Less starts anew what was about to begin; more is a longer gap in decisions."""


class Watchdog:
    """Looks whether the worker may act. A broker that is away is waited for, and so is a recovery that goes on."""

    def __init__(
        self,
        session_timeout_s: float,
        may_act: Callable[[], bool],
        progress: Callable[[], Hashable],
        broker_answers: Callable[[], Awaitable[bool]],
    ) -> None:
        self._may_act = may_act
        self._progress = progress
        self._broker_answers = broker_answers
        self._patience_s = SESSIONS * session_timeout_s + MARGIN_S
        self.aside_s = 0.0
        """For how long nothing has happened. Counted in looks: a process that was frozen has not been waiting."""

    async def run(self) -> None:
        """Return when the worker must start anew."""
        before = self._progress()
        while self.aside_s < self._patience_s:
            await asyncio.sleep(LOOK_S)
            now = self._progress()
            if self._may_act() or now != before or not await self._broker_answers():
                self.aside_s = 0.0
            else:
                self.aside_s += LOOK_S
            before = now
        log.error("for %g s the group has given this worker nothing to do, and the broker answers", self.aside_s)
