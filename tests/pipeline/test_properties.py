"""What must hold for every tree, car and limit, held against a second, obvious computation (`tests.pipeline.trees`)."""

from __future__ import annotations

import random
from dataclasses import dataclass

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decide import decide
from pipeline.records import ConnectorView
from pipeline.state import decode_state, encode_state
from tests.pipeline.run import Core, accepted, by_key, tree_of
from tests.pipeline.trees import START_MS, Plug, Site, exceeded, used

SLACK = 1e-4

sites = st.builds(
    Site,
    seed=st.integers(0, 2**32 - 1),
    groups=st.integers(1, 9),
    plugs=st.integers(1, 60) | st.integers(1, 8),
)


def fresh(site: Site, **control: object) -> Core:
    """A core that has one reading of everything, all cars at 0 A, all readings of one moment."""
    core = Core(tree_of(site.document(**control)))
    core.tell_all(("topology.limits", value) for value in site.limits())
    core.tell_all(site.readings(0, {}))
    return core


@given(sites)
def test_limits_of_cars_that_start_keep_every_constraint(site: Site) -> None:
    """The limits together, and what everybody may still draw, fit under every fuse, cap and limit on every phase."""
    decision = fresh(site).decide(1).decision
    views = by_key(decision.connectors)

    assert [] == exceeded(site.rows(), {key: v.limit_a for key, v in views.items()})
    assert [] == exceeded(site.rows(), {key: v.reserved_a for key, v in views.items()})
    assert [] == [p for p in site.sockets if not settable(p, views[p.key].limit_a)]


def settable(plug: Plug, limit_a: float) -> bool:
    """0, or on the step within the connector's minimum and maximum."""
    steps = limit_a / plug.step_a
    on_step = abs(steps - round(steps)) < 1e-6
    return limit_a == 0 or (on_step and plug.min_a - SLACK <= limit_a <= plug.max_a + SLACK)


@given(sites)
def test_headroom_is_the_limit_less_the_load_that_the_meters_show(site: Site) -> None:
    """The headroom in a decision is what a second computation finds for every group and phase."""
    decision = fresh(site).decide(1).decision
    rows = {r.name: r for r in site.rows()}

    for group in decision.groups:
        expected = [rows[f"{group.group} L{p + 1}"].room for p in range(site.grid_phases)]
        assert [round(a, 3) for a in expected] == [round(a, 3) for a in group.headroom_a]


@given(sites)
def test_nothing_a_step_wide_is_left_that_somebody_could_use(site: Site) -> None:
    """No wanting car could have one step more, and none that waits could start, beside the targets of all others."""
    views = by_key(fresh(site).decide(1).decision.connectors)
    targets = {key: v.target_a for key, v in views.items()}

    for plug in site.sockets:
        if plug.wants:
            more = least_raise(plug, views[plug.key])
            assert more is None or blocked(site, targets, plug, more), (plug, views[plug.key])


def least_raise(plug: Plug, view: ConnectorView) -> float | None:
    """The least that its target could be higher; None at its maximum."""
    next_a = plug.lowest_a if view.target_a == 0 else view.target_a + plug.step_a
    return next_a - view.target_a if next_a <= plug.max_a + SLACK else None


def blocked(site: Site, amperes: dict[str, float], plug: Plug, more: float) -> bool:
    """Whether some row has no room for so many amperes more."""
    return any(
        used(row, amperes) + row.per_a[plug.key] * more > row.room - SLACK
        for row in site.rows()
        if row.per_a.get(plug.key)
    )


@given(sites)
def test_the_binding_row_of_a_car_is_full(site: Site) -> None:
    """What a decision names as the reason why a car gets no more has no room for it."""
    views = by_key(fresh(site).decide(1).decision.connectors)

    for plug in site.sockets:
        view = views[plug.key]
        if plug.wants and view.binding == "max_a":
            assert view.target_a > plug.max_a - plug.step_a - SLACK


@dataclass(slots=True)
class Drive:
    """Some rounds of a site: cars follow their limits, answers come, statuses change, by one seed."""

    site: Site
    seed: int
    rounds: int = 5

    def play(self, core: Core, check: object = None, disorder: random.Random | None = None) -> list[bytes]:
        """The decisions, encoded; with `disorder`, records between two of them come doubled and shuffled."""
        chance = random.Random(self.seed)
        draw_a = {p.key: 0.0 for p in self.site.sockets}
        decisions = []
        pending: list[tuple[str, dict[str, object]]] = [("topology.limits", v) for v in self.site.limits()]
        for k in range(self.rounds):
            at_s = 10.0 * k
            status = {p.key: chance.choice([p.status] * 8 + ["Available", "Charging"]) for p in self.site.sockets}
            pending += self.site.readings(at_s, draw_a, status)
            core.tell_all(pending if disorder is None else disordered(pending, disorder))
            outcome = core.decide(at_s + 1)
            views = by_key(outcome.decision.connectors)
            if callable(check):
                check(self.site, views)
            decisions.append(msgspec.json.encode(outcome.decision))
            pending = [accepted(s, at_s + 2) for s in outcome.decision.setpoints if chance.random() < 0.8]
            for plug in self.site.sockets:
                limit_a = views[plug.key].limit_a
                draw_a[plug.key] = round(min(limit_a, chance.choice([limit_a, limit_a, chance.uniform(0, 32)])), 3)
        return decisions


def disordered(
    records: list[tuple[str, dict[str, object]]], chance: random.Random
) -> list[tuple[str, dict[str, object]]]:
    """The same records, some twice, in another order (here every source says one thing between two decisions)."""
    doubled = records + [r for r in records if chance.random() < 0.5]
    return chance.sample(doubled, len(doubled))


small_sites = st.builds(Site, seed=st.integers(0, 2**32 - 1), groups=st.integers(1, 6), plugs=st.integers(1, 14))
drives = st.builds(Drive, site=small_sites, seed=st.integers(0, 2**32 - 1))


@given(drives)
def test_reservations_of_a_busy_site_never_exceed_what_is_there(drive: Drive) -> None:
    """While cars come, go and follow, everything that may be drawn at once fits under every constraint.

    Where the cars are: what they draw already is in what the meters show, wherever that may be.
    """

    def check(site: Site, views: dict[str, ConnectorView]) -> None:
        rows = site.rows(really=True)
        assert [] == exceeded(rows, {key: v.limit_a for key, v in views.items()})
        assert [] == exceeded(rows, {key: v.reserved_a for key, v in views.items()})

    drive.play(fresh_without_readings(drive.site), check)


def fresh_without_readings(site: Site) -> Core:
    """A core that has heard nothing yet."""
    return Core(tree_of(site.document()))


@given(drives, st.randoms(use_true_random=False))
def test_doubled_and_shuffled_records_change_nothing(drive: Drive, chance: random.Random) -> None:
    """Between two decisions, the order of the records and their repetition do not matter."""
    straight = drive.play(fresh_without_readings(drive.site))
    shuffled = drive.play(fresh_without_readings(drive.site), disorder=chance)

    assert straight == shuffled


@given(drives)
def test_a_state_that_was_written_and_read_decides_the_same(drive: Drive) -> None:
    """A state comes back from its bytes: the next decision is the same, byte for byte."""
    core = fresh_without_readings(drive.site)
    drive.play(core)
    again = decode_state(encode_state(core.state))
    later_ms = START_MS + 300_000

    assert encode_state(core.state) == encode_state(again)
    expected = msgspec.json.encode(decide(core.tree, core.state, later_ms).decision)
    assert expected == msgspec.json.encode(decide(core.tree, again, later_ms).decision)


@given(drives)
def test_deciding_does_not_touch_the_state(drive: Drive) -> None:
    """A decision that is not written never happened: only `commit` changes the state."""
    core = fresh_without_readings(drive.site)
    drive.play(core)
    before = encode_state(core.state)

    decide(core.tree, core.state, START_MS + 100_000)

    assert before == encode_state(core.state)
