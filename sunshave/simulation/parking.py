"""Which car is plugged in where: cars come, wait for their place to be free, and leave at their time."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.simulated.battery import Car, Charge
from connectors.simulated.outlet import Outlet
from sunshave.simulation.tally import Tally


class Parking:
    """The connectors and the cars that come to each of them, in that order."""

    def __init__(self, outlets: Sequence[Outlet], coming: list[list[Car]], tally: Tally) -> None:
        self._outlets = outlets
        self._coming = coming
        self._tally = tally
        self._next_s = 0.0
        """Until then nobody comes or leaves."""

    def move(self, now_s: int) -> bool:
        """Whoever is to leave leaves, and whoever is to come comes. Whether anybody did."""
        if now_s < self._next_s:
            return False
        moved = False
        for i, (outlet, queue) in enumerate(zip(self._outlets, self._coming, strict=True)):
            if outlet.charge is not None and now_s >= outlet.charge.car.leaves_s:
                self._tally.left(i, now_s)
                outlet.plug_in(None)
                moved = True
            if outlet.charge is None and queue and queue[0].arrives_s <= now_s:
                moved = self._arrives(i, queue.pop(0), now_s) or moved
        self._next_s = min(map(self._next_of, self._outlets, self._coming), default=float("inf"))
        return moved

    def _arrives(self, i: int, car: Car, now_s: int) -> bool:
        if now_s >= car.leaves_s:  # it found the place taken for as long as it would have stayed
            self._tally.turned_away += 1
            return False
        self._outlets[i].plug_in(Charge(car))
        self._tally.came(i, car, now_s)
        return True

    @staticmethod
    def _next_of(outlet: Outlet, queue: list[Car]) -> float:
        if outlet.charge is not None:
            return outlet.charge.car.leaves_s
        return queue[0].arrives_s if queue else float("inf")
