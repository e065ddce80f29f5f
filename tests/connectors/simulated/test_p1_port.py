"""The simulated P1 port is a faithful Belgian meter: registers, the quarter's average, the month's peak, the CRC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.meters.measured import Measured
from connectors.meters.p1_telegram import read_telegram
from connectors.simulated.p1_port import Building
from tests.connectors.meters.telegrams import crc16_arc

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class Clock:
    """A clock that we move, and a load that we set."""

    def __init__(self, at: datetime = START) -> None:
        self.now = at
        self.load_a = (0.0, 0.0, 0.0)
        self.building = Building(lambda: self.load_a, clock=lambda: self.now, import_wh=1000.0, export_wh=500.0)

    def after(self, *, minutes: float, load_a: tuple[float, float, float]) -> Measured:
        """What the meter says when this load has flowed for so long."""
        self.load_a = load_a
        self.building.advance()
        self.now += timedelta(minutes=minutes)
        return read_telegram(self.building.telegram(), "fluvius")


def test_checksum_is_right() -> None:
    """By a CRC that is not the parser's own."""
    telegram = Clock().building.telegram()
    end = telegram.rindex(b"!") + 1

    assert f"{crc16_arc(telegram[:end]):04X}\r\n".encode() == telegram[end:]


def test_registers_net_the_phases() -> None:
    """10 A in on L1 and 4 A out on L2 for an hour is 6 A of import, and no export."""
    said = Clock().after(minutes=60, load_a=(10.0, -4.0, 0.0))

    assert said.import_wh == pytest.approx(1000 + 6 * 230, abs=1)
    assert said.export_wh == 500


def test_export_does_not_lower_the_import_register() -> None:
    """Nor the quarter's average."""
    clock = Clock()
    clock.after(minutes=6, load_a=(10.0, 0.0, 0.0))
    said = clock.after(minutes=6, load_a=(-10.0, 0.0, 0.0))

    assert (said.import_wh, said.export_wh) == (1230.0, 730.0)
    assert said.demand_w == pytest.approx(920)


def test_demand_rises_to_the_average_of_the_quarter() -> None:
    """1.4.0 is the energy so far over the whole quarter: a third of it after five minutes; then it begins anew."""
    clock = Clock()
    after_5, after_10 = (clock.after(minutes=5, load_a=(3.0, 3.0, 3.0)).demand_w for _ in range(2))
    clock.after(minutes=5, load_a=(3.0, 3.0, 3.0))

    assert (after_5, after_10) == (690.0, 1380.0)
    assert clock.building.registers.quarter_wh == 0.0
    assert clock.building.registers.month_peak_w == pytest.approx(2070)


def test_month_peak_is_the_highest_quarter_with_its_time() -> None:
    """A lower quarter does not replace it."""
    clock = Clock()
    for load_a in (3.0, 10.0, 5.0):
        clock.after(minutes=15, load_a=(load_a, 0.0, 0.0))
    said = read_telegram(clock.building.telegram(), "fluvius")

    assert (2300.0, START + timedelta(minutes=30)) == (said.month_peak_w, said.month_peak_at)


def test_month_peak_begins_anew_at_local_midnight() -> None:
    """The first of December begins at 23:00 UTC in Bruges; its quarter before midnight is November's."""
    clock = Clock(datetime(2026, 11, 30, 22, 30, tzinfo=UTC))
    november = clock.after(minutes=15, load_a=(10.0, 0.0, 0.0))
    december = clock.after(minutes=20, load_a=(2.0, 0.0, 0.0))

    assert 2300.0 == november.month_peak_w
    assert (0.0, None) == (december.month_peak_w, december.month_peak_at)


def test_long_gap_closes_its_quarters_one_by_one() -> None:
    """A clock that jumps three hours counts each quarter at the load that flowed."""
    said = Clock().after(minutes=180, load_a=(10.0, 0.0, 0.0))

    assert said.import_wh == pytest.approx(1000 + 3 * 2300)
    assert said.month_peak_w == 2300.0


def test_clock_that_goes_back_counts_nothing() -> None:
    """Registers never fall."""
    said = Clock().after(minutes=-30, load_a=(10.0, 0.0, 0.0))

    assert said.import_wh == 1000.0


@pytest.mark.parametrize("moment", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"])
def test_time_is_local_and_comes_back_as_utc(moment: str) -> None:
    """Also in the hour that the clocks repeat."""
    at = datetime.fromisoformat(moment)

    assert at == read_telegram(Clock(at).building.telegram(), "fluvius").own_time
