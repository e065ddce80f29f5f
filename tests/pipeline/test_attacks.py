"""Input that once stopped or misled the core, kept as named cases."""

from __future__ import annotations

from pipeline.records import METERS
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import moment

CAR = {"location": "a", "charger": "A", "connector": 1, "online": True}


def test_gap_of_decades_between_power_readings_is_not_walked_through() -> None:
    """An old reading and two fresh ones: the windows between them are unknown, not millions of entries."""
    group = {"id": "main", "limit_a": 40, "meter": "p1", "capacity": {}}
    core = Core(tree_of({"location": "a", "groups": [group], "meters": [{"id": "p1"}]}))
    for at in ("1971-01-01T00:00:00Z", moment(0), moment(31)):
        value = {"location": "a", "meter": "p1", "at": at, "power_w": [700, 0, 0]}
        assert core.tell(METERS, value, 32) is None

    assert len(core.state.meters["p1"].integrals) <= 16
    assert core.decide(40).decision.groups[0].window is not None


def test_accepted_limit_that_a_connector_cannot_be_given_is_never_sent_back() -> None:
    """A charger says that it accepted 0.1 A; while raises are held back it is told 0 A or a real limit, not that."""
    charger = {"id": "A", "group": "main", "fallback_a": 0, "connectors": [{"max_a": 16, "step_a": 0.3}]}
    core = Core(
        tree_of(
            {
                "location": "a",
                "groups": [{"id": "main", "limit_a": 40}],
                "chargers": [charger],
                "control": {"increase_every_s": 60},
            }
        )
    )
    reading = {**CAR, "at": moment(0), "status": "Charging", "transaction": "1", "current_a": [0, 0, 0]}
    core.tell_all([("telemetry.chargers", reading)])
    sent = core.decide(1).decision.setpoints[0]
    answer = {"state": "accepted", "limit_a": 0.1, "lease_until": moment(900), "fallback_a": 0}
    known = {"location": "a", "charger": "A", "connector": 1, "seq": sent.seq + 1, "at": moment(2)}
    core.tell_all([("ocpp.feedback", {**known, **answer})])
    limits_a = [core.decide(at_s).decision.connectors[0].limit_a for at_s in (3, 4, 40)]

    assert all(a == 0 or 6 <= a <= 16 for a in limits_a), limits_a
