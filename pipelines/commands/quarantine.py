"""``hiptriage quarantine``: what was refused and why, from the analysts' copy."""

from typing import Any

import click

from pipelines.console import console, local, result_table, visible, zone
from pipelines.outcomes import USAGE, Ended, plain_ends
from schemas.problems import problems, refusal_sentence
from warehouse import exports
from warehouse.home import Home
from warehouse.quarantine_copy import reading


@click.group()
def quarantine() -> None:
    """What was refused, why, and how to mend it."""


@quarantine.command("list")
def list_() -> None:
    """Counts by batch and code, with what is wrong and how to mend it; no cell is shown."""
    with plain_ends():
        home = Home.from_environment()
        with reading(home) as connection:
            counts = connection.execute(
                """
                SELECT batch_id, problem.code, count(DISTINCT record_number), min(received_at),
                       string_agg(DISTINCT problem.column_name, ', ' ORDER BY problem.column_name)
                FROM (SELECT batch_id, record_number, received_at, unnest(problems) AS problem FROM quarantine)
                GROUP BY batch_id, problem.code ORDER BY min(received_at), batch_id, count(*) DESC, problem.code
                """
            ).fetchall()
            files = connection.execute(
                "SELECT batch_id, refusal, refusal_columns, happened_at FROM ledger WHERE refusal IS NOT NULL "
                "ORDER BY happened_at, batch_id"
            ).fetchall()
        for batch, refusal, columns, happened_at in files:
            click.echo(f"{batch} ({local(happened_at, zone(home, None))})")
            click.echo(f"  the whole file: {refusal_sentence(refusal, tuple(columns))}")
        batch_before = None
        for batch, code, records, received_at, columns in counts:
            if batch != batch_before:
                click.echo(f"{batch} (received {local(received_at, zone(home, None))})")
                batch_before = batch
            problem = problems()[code]
            where = f" [{columns}]" if columns else ""
            click.echo(f"  {records} x {code}{where}: {problem.sentence}; {problem.mend}")
        if not counts and not files:
            click.echo("nothing is quarantined")


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
            found = connection.execute(
                """
                SELECT batch_id, record_number, problems, record_text, header_text
                FROM quarantine LEFT JOIN header USING (batch_id)
                WHERE ($batch IS NULL OR batch_id = $batch) AND ($record IS NULL OR record_number = $record)
                ORDER BY received_at, batch_id, record_number
                """,
                {"batch": batch, "record": record},
            )
            shown = 0
            for row in exports.rows_of(found):
                _show(*row)
                shown += 1
        if not shown and batch:
            raise Ended(USAGE, "no such record is quarantined: see hiptriage quarantine list")
        if not shown:
            click.echo("nothing is quarantined")


def _show(batch: str, record: int, found: list[dict[str, Any]], text: str | None, header: str | None) -> None:
    click.echo(f"{batch}, record {record}")
    cells = [
        (problem["column_name"] or "", problem["code"], problem["cell"] or "", problems()[problem["code"]].sentence)
        for problem in found
    ]
    console().print(result_table(["column", "code", "cell", "what is wrong"], cells))
    click.echo(f"header: {visible(header)}")
    click.echo(f"record: {visible(text)}")
    click.echo("")
