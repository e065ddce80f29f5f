"""Which setpoint counts, and what each is answered."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from connectors.ocpp.slots import NOT_TAKEN, Answer, Slot
from pipeline.moments import to_ms
from pipeline.records import Setpoint
from tests.connectors.ocpp import desk

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
NOW_MS = to_ms(NOW)

setpoint = partial(desk.setpoint, now=NOW)
"""All of them are of one moment: a slot is told the time, and a slow run must not let them expire."""


def said(answers: list[Answer]) -> list[tuple[int, str]]:
    return [(answer.setpoint.seq, answer.state) for answer in answers]


def taken(slot: Slot) -> Setpoint:
    found, _ = slot.take(NOW_MS)
    assert found is not None
    return found


def accepted(slot: Slot, one: Setpoint) -> list[Answer]:
    return slot.answer(Answer(one, "accepted", limit_a=one.limit_a), NOW_MS)


def test_newest_wins() -> None:
    """A setpoint that waits is overwritten, and says so."""
    slot = Slot()

    assert [] == said(slot.offer(setpoint(1), NOW_MS, online=True))
    assert [(1, "superseded")] == said(slot.offer(setpoint(2), NOW_MS, online=True))
    assert 2 == taken(slot).seq


def test_lower_seq_is_superseded() -> None:
    """Order is by seq, not by arrival, also after the higher one ended."""
    slot = Slot()
    slot.offer(setpoint(5), NOW_MS, online=False)

    assert [(4, "superseded")] == said(slot.offer(setpoint(4), NOW_MS, online=True))


def test_one_in_flight_is_not_superseded() -> None:
    """The charger may have taken it: it gets the charger's answer, and the newer one goes next."""
    slot = Slot()
    slot.offer(setpoint(1), NOW_MS, online=True)
    first = taken(slot)

    assert [] == said(slot.offer(setpoint(2), NOW_MS, online=True))
    assert [(1, "accepted")] == said(accepted(slot, first))
    assert 2 == taken(slot).seq


def test_repetition_is_answered_as_before() -> None:
    """The same record again changes nothing, and hears the same."""
    slot = Slot()
    one = setpoint(1)
    slot.offer(one, NOW_MS, online=True)
    assert [] == slot.offer(one, NOW_MS, online=True)
    answer = accepted(slot, taken(slot))
    slot.offer(setpoint(2), NOW_MS, online=True)

    assert answer == slot.offer(one, NOW_MS, online=True)


def test_same_seq_with_other_content_is_ignored() -> None:
    """Two meanings for one seq cannot both count; the first did."""
    slot = Slot()
    slot.offer(setpoint(1, 10.0), NOW_MS, online=False)

    assert [] == slot.offer(setpoint(1, 16.0), NOW_MS, online=True)
    assert slot.waiting is None


def test_offline_is_said_at_once_and_not_made_good_later() -> None:
    """The planner sends again when the charger is back."""
    slot = Slot()

    assert [(1, "offline")] == said(slot.offer(setpoint(1), NOW_MS, online=False))
    assert (None, []) == slot.take(NOW_MS)


def test_expired_is_never_handed_over() -> None:
    """After valid_until nobody may act on it, whether it comes late or waited too long."""
    slot = Slot()

    assert [(1, "expired")] == said(slot.offer(setpoint(1, valid_s=-60), NOW_MS, online=True))
    slot.offer(setpoint(2), NOW_MS, online=True)
    assert (None, [(2, "expired")]) == (lambda found, answers: (found, said(answers)))(*slot.take(NOW_MS + 3_600_000))


def test_disconnect_ends_one_that_waits() -> None:
    """It was never handed over, so it is certain that the charger did not take it."""
    slot = Slot()
    slot.offer(setpoint(1), NOW_MS, online=True)

    assert [(1, "offline")] == said(slot.gone())


def test_restored_setpoint_is_never_called_not_taken() -> None:
    """The dispatcher before us may have had it accepted: the planner must not free what the charger draws."""
    slot = Slot()
    slot.restore(setpoint(1), NOW_MS)

    assert [] == slot.gone()
    assert [] == slot.expire(NOW_MS + 3_600_000)
    slot.restore(setpoint(2), NOW_MS)
    rejected = slot.answer(Answer(taken(slot), "rejected", "Rejected"), NOW_MS)
    assert [(2, "timeout")] == said(rejected)


def test_restored_setpoint_waits_for_its_charger() -> None:
    """It is handed over when the charger connects, once."""
    slot = Slot()
    slot.restore(setpoint(1), NOW_MS)

    assert [(1, "accepted")] == said(accepted(slot, taken(slot)))


def test_expired_restored_setpoint_only_orders() -> None:
    """It is dropped, but a lower seq after it is still superseded."""
    slot = Slot()
    slot.restore(setpoint(9, valid_s=-60), NOW_MS)

    assert slot.waiting is None
    assert [(8, "superseded")] == said(slot.offer(setpoint(8), NOW_MS, online=True))


def test_decrease_is_told_from_increase() -> None:
    """Against what was accepted last; where nothing is known it may be a decrease."""
    slot = Slot()
    slot.offer(setpoint(1, 10.0), NOW_MS, online=True)
    assert slot.falls()
    accepted(slot, taken(slot))
    slot.offer(setpoint(2, 12.0), NOW_MS, online=True)
    assert not slot.falls()
    slot.offer(setpoint(3, 8.0), NOW_MS, online=True)
    assert slot.falls()


_STEPS = st.lists(
    st.tuples(st.sampled_from(["offer", "take", "accept", "reject", "timeout", "gone", "late"]), st.integers(1, 6)),
    max_size=30,
)


@given(steps=_STEPS)
def test_every_setpoint_ends_in_exactly_one_state(steps: list[tuple[str, int]]) -> None:
    """However events mix: at most one terminal state per seq (repetitions aside), and one for all that are over; and
    what was handed over is never called superseded, expired or offline."""
    slot, ends, handed, offered = Slot(), Counter[int](), set[int](), set[int]()
    content = {seq: setpoint(seq, float(6 + seq)) for seq in range(1, 7)}
    answers: list[Answer] = []
    for step, seq in steps:
        if step == "offer" and seq not in offered:
            offered.add(seq)
            answers += slot.offer(content[seq], NOW_MS, online=True)
        elif step == "take" and slot.in_flight is None:
            found, more = slot.take(NOW_MS)
            handed |= {found.seq} if found else set()
            answers += more
        elif step in ("accept", "reject", "timeout") and slot.in_flight is not None:
            state = {"accept": "accepted", "reject": "rejected", "timeout": "timeout"}[step]
            answers += slot.answer(Answer(slot.in_flight, state, limit_a=1.0), NOW_MS)  # type: ignore[arg-type]
        elif step == "gone":
            answers += slot.gone()
        elif step == "late":
            answers += slot.expire(NOW_MS + 3_600_000)
    for answer in answers:
        ends[answer.setpoint.seq] += 1
        assert not (answer.setpoint.seq in handed and answer.state in NOT_TAKEN - {"rejected", "unsupported"})
    open_ones = {one.seq for one in (slot.waiting, slot.in_flight) if one is not None}
    assert dict.fromkeys(offered - open_ones, 1) == dict(ends)
