"""`sunshave`: one command, a sub-command per thing that a user runs (design §8).

Sub-commands live in `sunshave/commands/`, one module each, and are imported only when they are used: `sunshave decide`
must not wait for Kafka's client to load.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "dashboards": "Publish or write the Grafana dashboards.",
    "decide": "Decide from JSON lines, without Kafka.",
    "demo": "Run the main job here, on embedded parts, and watch it.",
    "dispatcher": "Serve OCPP to chargers, and turn setpoints into profiles.",
    "explain": "Say in plain words why a connector gets what it gets.",
    "historian": "Write telemetry, setpoints and decisions to InfluxDB.",
    "locations": "Check and publish locations.",
    "meters": "Read meters, and publish their readings.",
    "replay": "Decide again what was decided, and compare; or ask what if.",
    "simulate": "Let buildings, cars and faults live at full speed, with the core in the loop.",
    "topics": "Create and check the Kafka topics.",
    "worker": "Fold readings and decide, for a share of the locations.",
}
"""Name and one line of help; the module `sunshave.commands.NAME` holds the click command `NAME`."""


class _Lazy(click.Group):
    """Finds a sub-command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"sunshave.commands.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Ctrl-C that no command has taken for its own: an end, without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sunshave")
def main() -> None:
    """Power management for fleets of EV chargers.

    Exit status: 0 when all went well, 1 when something differs or failed, 2 when the input or the call cannot be used.
    """
