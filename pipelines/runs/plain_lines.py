"""Progress of a run that a command started, in plain lines on stderr."""

import logging

import click
import dagster as dg


class _PlainLines(logging.Handler):
    """Writes what assets say, and nothing of Dagster's own events, to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message; records that describe a Dagster event are left to the event log."""
        if not getattr(record, "dagster_meta", {}).get("dagster_event"):
            said = getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()
            click.echo(f"  {said}", err=True)


@dg.logger
def plain_lines(_: dg.InitLoggerContext) -> logging.Logger:
    """A logger for commands: one line for each thing an asset has to say."""
    logger = logging.Logger("hiptriage", level=logging.INFO)
    logger.addHandler(_PlainLines())
    return logger
