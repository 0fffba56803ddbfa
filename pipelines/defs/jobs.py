"""Jobs: the whole path of a record as one run, and its progress in plain lines."""

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


# Every stage but training: what a new batch needs, in one run over all waiting batches.
record_path = dg.define_asset_job(
    "record_path",
    selection=dg.AssetSelection.groups("1_landing", "2_intake", "3_scoring", "4_publication"),
    description="Load waiting batches, score what lacks a score, publish a snapshot.",
)

training = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.groups("5_training"),
    description="Train a new model version. It is stored, not put in force.",
)

# The same without a batch: after a change of model or knowledge, or when the landing folder brought nothing.
rescore = dg.define_asset_job(
    "rescore",
    selection=dg.AssetSelection.groups("1_landing", "3_scoring", "4_publication"),
    description="Score what lacks a score and publish a snapshot.",
)
