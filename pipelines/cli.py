"""The ``hiptriage`` command: one group, each command in a file of its own under ``commands``.

Commands are imported when they are called, so that reading the worklist never loads Dagster or scikit-learn.
"""

import logging
from importlib import import_module

import click

COMMANDS = (
    "run",
    "worklist",
    "explain",
    "sql",
    "quarantine",
    "withdraw",
    "model",
    "form",
    "serve",
    "token",
    "alerts",
    "backup",
    "restore",
    "purge",
    "audit",
    "dev",
    "doctor",
    "demo",
)


class LateGroup(click.Group):
    """A group that imports a command's module when the command is first named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in reading order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command object of ``pipelines.commands.<name>``."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"pipelines.commands.{cmd_name}"), cmd_name)


class _Said(logging.Handler):
    """Tells on stderr what a command waits for."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        click.echo(f"  {record.getMessage()}", err=True)


WAITING = _Said()


@click.command(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hiptriage")
def main() -> None:
    """Referral priorities for runners with hip pain, for health professionals.

    HIPTRIAGE_HOME names the folder that holds this installation's state.
    """
    log = logging.getLogger("warehouse.lock")
    log.setLevel(logging.INFO)
    log.addHandler(WAITING)  # once, however often it is called
