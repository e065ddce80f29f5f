"""The meters that are known by name, as data: where each of them puts its values.

A format is one or more field maps; the first that finds a phase in the document counts. Those that send every value on
a topic of its own are collected into one document first (`rounds`): its names are the topics below the source's topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from connectors.meters.fields import Fields
from connectors.meters.measured import Measured

FormatName = Literal["dsmr-reader", "shelly-pro3em", "shelly-3em-gen1", "homewizard-p1", "sunshave"]


@dataclass(frozen=True, slots=True)
class Format:
    """Field maps, and for split topics the name that is sent first in each round (None = whole documents)."""

    maps: tuple[Fields, ...]
    first: str | None = None

    def names(self) -> frozenset[str]:
        """The topics of a split format that its maps read."""
        return frozenset().union(*(fields.names() for fields in self.maps))

    def measured(self, document: Any) -> Measured | None:
        """What the document says, or None when it is about something else."""
        for fields in self.maps:
            if (said := fields.measured(document)) is not None:
                return said
        return None


def _fields(**where: Any) -> Fields:
    return Fields.model_validate(where)


def _phases(pattern: str, names: tuple[str, ...] = ("l1", "l2", "l3"), **rest: Any) -> list[Any]:
    paths = [pattern.format(name) for name in names]
    return [{"path": path, **rest} for path in paths]


def _shelly_pro(root: str, **rest: Any) -> Fields:
    """Its currents have no sign. `emdata` (the registers) is left out: it adds up each phase alone, the billed register
    nets them, so with solar on one phase it would count import that nobody is billed for."""
    abc = ("a", "b", "c")
    return _fields(
        current_a=_phases(root + ".{}_current", abc),
        power_w=_phases(root + ".{}_act_power", abc),
        voltage_v=_phases(root + ".{}_voltage", abc),
        **rest,
    )


def _dsmr_reader_power() -> list[dict[str, Any]]:
    return [
        {"path": f"$.phase_currently_delivered_{name}", "minus": f"$.phase_currently_returned_{name}", "scale": 1000}
        for name in ("l1", "l2", "l3")
    ]


FORMATS: dict[str, Format] = {
    # dsmrreader, "every field on its own topic"; `id`, which we do not read, and `timestamp` lead in its defaults
    "dsmr-reader": Format(
        maps=(
            _fields(
                at="$.timestamp",
                current_a=_phases("$.phase_power_current_{}"),
                power_w=_dsmr_reader_power(),
                voltage_v=_phases("$.phase_voltage_{}"),
                import_wh=_phases("$.electricity_delivered_{}", ("1", "2"), scale=1000),
                export_wh=_phases("$.electricity_returned_{}", ("1", "2"), scale=1000),
            ),
        ),
        first="timestamp",
    ),
    # <prefix>/events/rpc (NotifyStatus, with a time) and <prefix>/status/em:0 (without)
    "shelly-pro3em": Format(maps=(_shelly_pro("$.params.em:0", at="$.params.ts"), _shelly_pro("$"))),
    # shellies/<id>/emeter/<0..2>/<value>; the source's topic is shellies/<id>/emeter
    "shelly-3em-gen1": Format(
        maps=(
            _fields(
                current_a=_phases("$.{}/current", ("0", "1", "2")),
                power_w=_phases("$.{}/power", ("0", "1", "2")),
                voltage_v=_phases("$.{}/voltage", ("0", "1", "2")),
            ),
        ),
        first="0/power",
    ),
    # the documents of GET /api/measurement (v2) and /api/v1/data (v1), as bridges put them on MQTT
    "homewizard-p1": Format(
        maps=(
            _fields(
                at="$.timestamp",
                current_a=_phases("$.current_{}_a"),
                power_w=_phases("$.power_{}_w"),
                voltage_v=_phases("$.voltage_{}_v"),
                import_wh={"path": "$.energy_import_kwh", "scale": 1000},
                export_wh={"path": "$.energy_export_kwh", "scale": 1000},
                demand_w="$.average_power_15m_w",
                month_peak_w="$.monthly_power_peak_w",
                month_peak_at="$.monthly_power_peak_timestamp",
                signed_current=True,
            ),
            _fields(
                current_a=_phases("$.active_current_{}_a"),
                power_w=_phases("$.active_power_{}_w"),
                voltage_v=_phases("$.active_voltage_{}_v"),
                import_wh={"path": "$.total_power_import_kwh", "scale": 1000},
                export_wh={"path": "$.total_power_export_kwh", "scale": 1000},
                demand_w="$.active_power_average_w",
                month_peak_w="$.montly_power_peak_w",  # so written in version 1
                month_peak_at="$.montly_power_peak_timestamp",
                signed_current=True,
            ),
        )
    ),
}
"""`sunshave`, our own record, is not here: nothing has to be mapped."""
