"""What an ideal controller would have delivered in the same world: the measure of the one that is simulated.

It sees every car, every load and the sun at the moment itself, and its cars obey at once; of the future it knows
nothing. It gives the fair shares of the production core (fuses, caps, limits from outside, windows, sun, minimums,
turns) for what is true, without all that a controller needs because it cannot see: no reservations and no release,
nothing kept free for a noisy load, nothing learnt late. Cars want what they can take, a full one nothing; a charger of
unknown rotation is wired as it really is. The timers of `solar` and `switch_hold_s` stay: the owner wants them.

Its energy is a sum over moments `LOOK_EVERY_S` apart, and those at which a car comes or goes: what is right at one is
taken to be right until the next. Its windows are filled by its own cars. It starts no bursts (`capacity.bursts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from connectors.simulated.battery import Car, Charge
from connectors.simulated.installation import Installation, Loads
from connectors.simulated.outlet import Outlet
from connectors.simulated.registers import Registers
from pipeline.decide import Outcome, commit, decide
from pipeline.fold import fold
from pipeline.moments import to_moment
from pipeline.records import LIMITS, ChargerReading, Feedback, Folded, MeterReading, decode
from pipeline.state import new_state
from topology.phases import LETTERS, Wiring, grid_power_w
from topology.tree import Socket, Tree, build_tree

LOOK_EVERY_S = 60
"""Simulated seconds between two looks. Fewer: a run takes longer; more: flicker and clouds are sampled coarsely."""
DECIDE_EVERY_S = 900
"""Also when nobody wants anything: the core is to see every window that closes."""
FOREVER = timedelta(days=4000)
"""A lease that outlives every run."""


@dataclass(slots=True)
class Place:
    """A connector of the ideal world, and what its car may take until the next look."""

    max_a: float
    car: Car | None = None
    charge: Charge | None = None
    visit: int = 0
    offered_a: float = 0.0
    offered_phases: int = 3

    @property
    def taken_wh(self) -> float:
        """Of its present car; a look too late is no energy more than it wants."""
        return min(self.charge.taken_wh, self.charge.car.energy_wh) if self.charge is not None else 0.0

    @property
    def wants_a(self) -> float:
        """What its car could take now, on each of its phases."""
        return self.charge.wanted_a(self.max_a) if self.charge is not None else 0.0


class Ideal:
    """The ideal controller of one location. `ways`: how each connector is wired; `limits`: records from outside."""

    def __init__(
        self,
        installation: Installation,
        ways: Sequence[Wiring],
        limits: Iterable[bytes],
        start_s: int,
        month_peak_w: float,
    ) -> None:
        self._installation = installation
        self._tree = tree = _seen_through(installation.tree, ways)
        self._start_s = start_s
        self._state = new_state()
        self._places = [Place(socket.max_a) for socket in tree.sockets]
        self._gone_wh = 0.0
        self._looked_s = 0
        self._house: Loads | None = None
        self._meters = [(node.index, node.meter) for node in tree.nodes if node.meter is not None]
        self.registers = {index: Registers(tree.location.timezone) for index, _ in self._meters}
        if tree.root in self.registers:
            self.registers[tree.root].month_peak_w = month_peak_w
        for value in limits:
            self._tell(decode(LIMITS, value))
        for socket in tree.sockets:
            self._tell(self._free(socket))

    def energy_wh(self, now_s: int, outlets: Sequence[Outlet]) -> float:
        """What its cars have taken until now."""
        self._advance(now_s, outlets)
        return self._gone_wh + sum(place.taken_wh for place in self._places)

    def look(self, now_s: int, house: Loads, outlets: Sequence[Outlet]) -> None:
        """The world as it is now: the cars that are plugged in, and what flows besides (`Installation.below`)."""
        self._advance(now_s, outlets)
        self._house = house
        for place, outlet in zip(self._places, outlets, strict=True):
            self._park(place, outlet.charge.car if outlet.charge is not None else None)
        at = to_moment(self._now_ms)
        self._read_chargers(at)
        self._read_meters(at, house)
        if now_s % DECIDE_EVERY_S == 0 or any(place.wants_a > 0 for place in self._places):
            self._offer(decide(self._tree, self._state, self._now_ms))

    def _advance(self, now_s: int, outlets: Sequence[Outlet]) -> None:
        """What was offered at the last look has been so until now."""
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        if self._house is None or passed_s <= 0:
            return
        drawn = []
        for i, (place, outlet) in enumerate(zip(self._places, outlets, strict=True)):
            if place.charge is not None:
                place.charge.step(place.offered_a, passed_s, 1.0, outlet.voltage_v, place.offered_phases)
                drawn.append((i, place.charge.phases, place.charge.amperes))
        flows, grid = self._installation.flows(self._house, drawn), self._tree.location.grid
        until_s = self._start_s + now_s
        for index, registers in self.registers.items():
            power_w = grid_power_w(grid.type, grid.voltage_v, tuple(flows[index]))
            registers.count(power_w, until_s - passed_s, until_s)

    @property
    def _now_ms(self) -> int:
        return (self._start_s + self._looked_s) * 1000

    def _tell(self, record: Folded) -> None:
        refused = fold(self._tree, self._state, record, self._now_ms)
        assert refused is None, refused

    def _free(self, socket: Socket) -> Feedback:
        """A charger that has accepted all that it can: then what its car takes is what it wants."""
        at = to_moment(self._now_ms)
        return Feedback(
            location=self._tree.location.location,
            charger=socket.charger.id,
            connector=socket.connector.id,
            seq=1,
            at=at,
            state="accepted",
            limit_a=socket.max_a,
            lease_until=at + FOREVER,
        )

    def _park(self, place: Place, car: Car | None) -> None:
        if car is place.car:
            return
        self._gone_wh += place.taken_wh
        place.car, place.charge = car, None
        if car is not None:
            place.visit += 1
            place.charge = Charge(replace(car, delay_s=0.0, ramp_a_per_s=float("inf")))

    def _read_chargers(self, at: datetime) -> None:
        """Every car is read as if it took what it wants."""
        for socket, place in zip(self._tree.sockets, self._places, strict=True):
            wants_a, phases = place.wants_a, place.car.phases if place.car is not None else 0
            self._tell(
                ChargerReading(
                    location=self._tree.location.location,
                    charger=socket.charger.id,
                    connector=socket.connector.id,
                    at=at,
                    online=True,
                    status="Charging" if wants_a > 0 else "Available",
                    transaction=str(place.visit),
                    current_a=[wants_a if k < phases else 0.0 for k in range(socket.connector.phases)],
                )
            )

    def _read_meters(self, at: datetime, house: Loads) -> None:
        """And so do the meters, so that the difference is the house to the bit of a float."""
        wanted = [(i, p.car.phases, p.wants_a) for i, p in enumerate(self._places) if p.car is not None]
        flows = self._installation.flows(house, wanted)
        for index, meter in self._meters:
            registers = self.registers[index]
            self._tell(
                MeterReading(
                    location=self._tree.location.location,
                    meter=meter.id,
                    at=at,
                    current_a=(flows if meter.includes_chargers else house)[index],
                    import_wh=registers.import_wh,
                    month_peak_w=registers.month_peak_w,
                )
            )
            kept = self._state.meters[meter.id]
            kept.wander = kept.past = None  # what is noted of a noisy load is for those who see it late

    def _offer(self, outcome: Outcome) -> None:
        """Everybody takes his fair share at once; nobody is sent anything."""
        for i, place in enumerate(self._places):
            share = outcome.shares.of[i]
            place.offered_a, place.offered_phases = share.target_a, 1 if share.one_phase else 3
        outcome.one_phase = [place.offered_phases == 1 for place in self._places]
        outcome.decision = msgspec.structs.replace(outcome.decision, setpoints=[])
        commit(self._state, outcome)


def _seen_through(tree: Tree, ways: Sequence[Wiring]) -> Tree:
    """The same location as one sees it who knows the wiring, and each car from the first moment on."""
    location = tree.location
    rotations = {
        socket.key: "".join(LETTERS[place] for lines in way for place in lines)
        for socket, way in zip(tree.sockets, ways, strict=True)
    }
    chargers = tuple(
        replace(c, connectors=tuple(replace(k, rotation=rotations[c.id, k.id]) for k in c.connectors))
        for c in location.chargers
    )
    control = replace(location.control, settle_s=0.0, under_draw_margin_a=0.0, min_change_a=0.0, idle_offer_a=0.0)
    return build_tree(replace(location, chargers=chargers, control=control))
