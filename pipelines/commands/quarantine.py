"""``hiptriage quarantine``: what was refused and why, from the analysts' copy; and trying it again."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from pipelines.console import console, local, result_table, unread_sentence, visible, zone
from pipelines.options import clinic_option
from pipelines.outcomes import QUARANTINED, REFUSED, USAGE, Ended, plain_ends
from schemas.problems import DISMISS_REASONS, DismissReason, refusal_sentence
from schemas.what_is_wrong import explained
from warehouse import exports, quarantine_copy
from warehouse.home import Home
from warehouse.quarantine_copy import reading


@click.group()
def quarantine() -> None:
    """What was refused, why, and how to mend it."""


@quarantine.command("list")
@click.option("--clinic", callback=clinic_option, help="One clinic only.")
def list_(clinic: str | None) -> None:
    """Counts by batch, code and column: what is wrong, what is allowed, how to mend it; no cell is shown."""
    with plain_ends():
        home = Home.from_environment()
        with reading(home) as connection:
            counts = connection.execute(quarantine_copy.COUNTS, {"clinic": clinic}).fetchall()
            files = connection.execute(quarantine_copy.REFUSED_FILES, {"clinic": clinic}).fetchall()
        for batch, refusal, columns, happened_at in files:
            click.echo(f"{batch} ({local(happened_at, zone(home, None))})")
            click.echo(f"  the whole file: {refusal_sentence(refusal, tuple(columns))}")
        batch_before = None
        for batch, contents, code, column, records, received_at in counts:
            if batch != batch_before:
                click.echo(f"{batch} (received {local(received_at, zone(home, None))})")
                batch_before = batch
            where = f" [{column}]" if column else ""
            click.echo(f"  {records} x {code}{where}: {explained(code, column, contents).in_full}")
        if not counts and not files:
            click.echo("nothing is quarantined")
        else:
            click.echo("next: mend and send again; after a change of mapping or contract hiptriage quarantine replay")


@quarantine.command("send-back")
@click.option("--clinic", callback=clinic_option, help="One clinic only.")
@click.option("--batch", help="One batch only.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def send_back(clinic: str | None, batch: str | None, output: Path | None) -> None:
    """A list for the clinic, as CSV: record numbers, columns, what is wrong and how to mend it; no answers."""
    with plain_ends():
        home = Home.from_environment()
        with reading(home) as connection:
            found = connection.execute(quarantine_copy.SEND_BACK, {"clinic": clinic, "batch": batch}).fetchall()
        rows = [
            (batch_id, number, column or "", code, said.sentence, said.allowed, said.source, said.mend)
            for batch_id, number, contents, code, column in found
            for said in (explained(code, column, contents),)
        ]
        columns = ("batch", "record_number", "column", "code", "what_is_wrong", "allowed", "source", "how_to_mend")
        if output is None:
            exports.write_rows(columns, rows, sys.stdout)
            return
        with exports.replacing(output) as half, half.open("w", encoding="utf-8", newline="") as stream:
            exports.write_rows(columns, rows, stream)


@quarantine.command()
@click.argument("batch", required=False)
@click.argument("record", required=False, type=click.IntRange(min=1))
def show(batch: str | None, record: int | None) -> None:
    """Refused records with their cells and original text (for the analyst's account only).

    BATCH is an id of the list, RECORD a record number in it; without them all are shown.
    """
    with plain_ends():
        home = Home.from_environment()
        with reading(home) as connection:
            refused = connection.execute(quarantine_copy.REFUSED_FILES, {"clinic": None}).fetchall()
            found = connection.execute(quarantine_copy.IN_FULL, {"batch": batch, "record": record})
            shown = 0
            for row in exports.rows_of(found):
                _show(*row)
                shown += 1
        for refused_batch, refusal, columns, _ in refused:
            if batch in (None, refused_batch) and record is None:
                click.echo(f"{refused_batch}, the whole file: {refusal_sentence(refusal, tuple(columns))}")
                shown += 1
        if not shown and batch:
            raise Ended(USAGE, "no such record is quarantined: see hiptriage quarantine list")
        if not shown:
            click.echo("nothing is quarantined")


def _show(
    batch: str, record: int, contents: str, found: list[dict[str, Any]], text: str | None, header: str | None
) -> None:
    click.echo(f"{batch}, record {record}")
    cells = []
    for problem in found:
        said = explained(problem["code"], problem["column_name"], contents)
        cells.append((problem["column_name"] or "", problem["code"], problem["cell"] or "", said.in_full))
    console().print(result_table(["column", "code", "cell", "what is wrong"], cells))
    click.echo(f"header: {visible(header)}")
    click.echo(f"record: {visible(text)}")
    click.echo("")


@quarantine.command()
@click.argument("batches", nargs=-1)
def replay(batches: tuple[str, ...]) -> None:
    """Try refused records and files again, after the contract, a mapping or the program changed.

    BATCHES are ids of the list; without them every batch that waits. What was counted on arrival stays as it is. A
    mended file is not replayed: load it with hiptriage run.
    """
    with plain_ends():
        from pipelines.changes.replaying import try_again
        from pipelines.commands.run import process  # brings the readers, as does the next
        from warehouse.lock import holding
        from warehouse.snapshot_reading import current_snapshot

        home = Home.from_environment()
        with holding(home, "hiptriage quarantine replay"):
            tried = try_again(home, batches, say=click.echo, warn=partial(click.echo, err=True))
            process(home)
        if not tried.batches:
            click.echo("nothing is quarantined")
        click.echo(unread_sentence(current_snapshot(home)))
        left = sum(outcome.still_refused for outcome in tried.done)
        refused = sum(outcome.refusal is not None for outcome in tried.done)
    if tried.not_tried:
        raise Ended(
            REFUSED, f"{tried.not_tried} of {tried.batches} batches could not be tried; the reason stands beside each"
        )
    if left or refused:
        raise Ended(QUARANTINED, f"done; {left} records and {refused} whole files are still refused")


@quarantine.command()
@click.argument("batch")
@click.argument("record", required=False, type=click.IntRange(min=1))
@click.option("--by", required=True, help="Who dealt with it.")
@click.option(
    "--reason",
    required=True,
    type=click.Choice(DISMISS_REASONS),
    help="How.",
)
def dismiss(batch: str, record: int | None, by: str, reason: DismissReason) -> None:
    """Take a refused form off the list of unread ones: a person has dealt with it. Nothing is deleted.

    BATCH is an id of the list, RECORD a record number in it; without RECORD the file that was refused whole.
    """
    with plain_ends():
        from pipelines.commands.run import process
        from warehouse import replay as replaying
        from warehouse.lock import holding
        from warehouse.snapshot_reading import current_snapshot
        from warehouse.withdrawing.tables import WHOLE_FILE

        home = Home.from_environment()
        with holding(home, "hiptriage quarantine dismiss"):
            replaying.dismiss(home, batch, record or WHOLE_FILE, by=by, reason=reason)
            process(home)
        what = f"record {record}" if record else "the whole file"
        click.echo(f"{batch}, {what}: {reason}, by {visible(by)}")
        click.echo(unread_sentence(current_snapshot(home)))
