"""``hiptriage worklist``: whom to see first, by when, and why."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from pipelines.console import console, notices, worklist_table, zone
from pipelines.exported import WORKLIST_AS_DATES, about, heading, leave_out_sensitive
from pipelines.outcomes import USAGE, Ended, plain_ends
from schemas.tiers import tiers
from warehouse import exports
from warehouse.home import Home
from warehouse.snapshot_reading import connect, current_snapshot

ROWS_SHOWN = 20


@click.command()
@click.option("--clinic", help="One clinic only. [default: all clinics of this installation]")
@click.option("--tier", type=click.Choice(list(tiers())), help="One tier only.")
@click.option("--all", "everything", is_flag=True, help=f"All open records, not the first {ROWS_SHOWN} of the table.")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many records.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "xlsx", "parquet"]),
    default="table",
    show_default=True,
    help="json and parquet hold every column and every record; table, csv and xlsx the open ones.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.option("--without-sensitive", is_flag=True, help="Leave out what tells of sensitive answers, as the page does.")
def worklist(
    clinic: str | None,
    tier: str | None,
    everything: bool,
    limit: int | None,
    form: str,
    output: Path | None,
    without_sensitive: bool,
) -> None:
    """Show the worklist: open records in order of tier, overdue and score.

    For a health professional's decision, never in its place; not for patients to use alone.
    """
    with plain_ends():
        if form in ("parquet", "xlsx") and output is None:
            raise Ended(USAGE, f"{form} needs a file to go to: add --output FILE")
        if output and not output.absolute().parent.is_dir():
            raise Ended(USAGE, "the folder of the output file does not exist")
        home = Home.from_environment()
        snapshot = current_snapshot(home)
        # Rows that are printed while they are read must not break off at a damaged place.
        with connect(snapshot, clinic, every_byte=form != "table" and output is None) as connection:
            if without_sensitive:
                leave_out_sensitive(connection)
            head = notices(snapshot, home, clinic)
            if form == "table":
                limit = None if everything else ROWS_SHOWN if limit is None else limit
                _print_table(connection, home, clinic, tier, limit, head, output)
                return
            for line in head:
                click.echo(line, err=True)
            if form == "xlsx" and output:
                from warehouse.workbook_export import write_workbook  # no other format needs it

                rows, _ = _open_rows(connection, tier, limit, WORKLIST_AS_DATES)
                said = about(snapshot, home, clinic, without_sensitive=without_sensitive)
                above, at = heading(snapshot, home, clinic, "worklist"), zone(home, clinic)
                with exports.replacing(output) as half:
                    write_workbook(rows, half, sheet="worklist", about=said, heading=above, at=at)
                return
            _export(connection, tier, limit, form, output)


def _print_table(
    connection: Any,
    home: Home,
    clinic: str | None,
    tier: str | None,
    limit: int | None,
    head: list[str],
    output: Path | None,
) -> None:
    result, total = _open_rows(connection, tier, limit)
    rows = exports.dicts_of(result)
    shown = f"{len(rows)} of {total} open records" + ("; --all shows every one." if len(rows) < total else ".")
    if output is None:
        _print(console(), head, rows, home, clinic, shown)
        return
    with exports.replacing(output) as half, half.open("w", encoding="utf-8") as stream:
        _print(console(stream), head, rows, home, clinic, shown)


def _open_rows(
    connection: Any, tier: str | None, limit: int | None, selected: str = "SELECT * FROM worklist"
) -> tuple[Any, int]:
    """The first rows of the worklist in order, and how many there are in all.

    The places are found first: they are narrow, and the wide rows of a long list are then read for its head alone.
    """
    bound = {"tier": tier, "limit": limit}
    where = "($tier IS NULL OR effective_tier = $tier)"
    counted = connection.execute(f"SELECT count(*) FROM worklist WHERE {where}", {"tier": tier}).fetchone()
    last = connection.execute(
        f"SELECT max(place) FROM (SELECT place FROM worklist WHERE {where} ORDER BY place LIMIT $limit)", bound
    ).fetchone()
    rows = connection.execute(
        f"{selected} WHERE {where} AND place <= $last ORDER BY place", {"tier": tier, "last": last[0]}
    )
    return rows, counted[0]


def _print(out: Any, head: list[str], rows: list[dict[str, Any]], home: Home, clinic: str | None, shown: str) -> None:
    for line in head:
        out.print(line)
    if rows:
        out.print(worklist_table(rows, home, clinic))
    out.print(shown)


def _export(connection: Any, tier: str | None, limit: int | None, form: str, output: Path | None) -> None:
    if form == "csv":
        rows, _ = _open_rows(connection, tier, limit)
        with _stream(output) as stream:
            exports.write_csv(rows, stream)
        return
    where = "WHERE effective_tier = $tier" if tier else ""
    some = f"ORDER BY clinic_id, record_id LIMIT {limit}" if limit is not None else ""
    query, bound = f"SELECT * FROM referrals {where} {some}", {"tier": tier} if tier else {}
    if form == "parquet" and output:
        with exports.replacing(output) as half:
            exports.write_parquet(connection.execute(query, bound), half)
        return
    with _stream(output) as stream:
        exports.write_array(exports.objects(connection, query, bound), stream)


@contextmanager
def _stream(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with exports.replacing(output) as half, half.open("w", encoding="utf-8", newline="") as stream:
        yield stream
