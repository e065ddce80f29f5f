"""What meters and chargers say about themselves: the records of the real topics, as bytes."""

from __future__ import annotations

from datetime import datetime

from connectors.simulated.outlet import Order, Outlet
from connectors.simulated.registers import Registers
from pipeline.moments import to_moment, to_ms
from pipeline.records import ChargerReading, Feedback, MeterReading, Setpoint, encode
from topology.tree import Socket


def meter_reading(location: str, meter: str, at: datetime, current_a: list[float], registers: Registers) -> bytes:
    """As a P1 port says it: hundredths of amperes, whole watts and watt-hours."""
    return encode(
        MeterReading(
            location=location,
            meter=meter,
            at=at,
            current_a=[round(a, 2) + 0.0 for a in current_a],
            import_wh=round(registers.import_wh),
            export_wh=round(registers.export_wh),
            demand_w=round(registers.demand_w),
            month_peak_w=round(registers.month_peak_w),
        )
    )


def charger_reading(location: str, socket: Socket, at: datetime, outlet: Outlet, status: str) -> bytes:
    """Currents in the charger's own frame; a car with fewer phases uses the first ones."""
    charge = outlet.charge
    amperes, used = (round(charge.amperes, 2), charge.phases) if charge is not None else (0.0, 0)
    return encode(
        ChargerReading(
            location=location,
            charger=socket.charger.id,
            connector=socket.connector.id,
            at=at,
            online=True,
            status=status,  # type: ignore[arg-type]
            transaction=str(outlet.transaction) if charge is not None else None,
            current_a=[amperes if k < used else 0.0 for k in range(socket.connector.phases)],
            energy_wh=round(outlet.meter_wh),
        )
    )


def feedback(location: str, socket: Socket, at: datetime, order: Order, state: str, start_s: int) -> bytes:
    """What a dispatcher says became of an order."""
    took = state == "accepted"
    return encode(
        Feedback(
            location=location,
            charger=socket.charger.id,
            connector=socket.connector.id,
            seq=order.seq,
            at=at,
            state=state,  # type: ignore[arg-type]
            limit_a=order.limit_a if took else None,
            lease_until=to_moment(round((start_s + order.valid_until_s) * 1000)) if took else None,
            fallback_a=socket.charger.fallback_a,
        )
    )


def order_of(setpoint: Setpoint, start_s: int) -> Order:
    """What a setpoint tells a charger, in seconds of the simulation."""
    valid_until_s = to_ms(setpoint.valid_until) / 1000 - start_s
    return Order(setpoint.seq, setpoint.limit_a, valid_until_s, setpoint.phases)
