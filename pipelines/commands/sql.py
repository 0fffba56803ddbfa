"""``hiptriage sql``: read-only SQL over the current snapshot."""

import itertools
import sys
from typing import Any

import click

from pipelines.console import console, notices, result_table
from pipelines.outcomes import plain_ends
from warehouse import exports
from warehouse.home import Home
from warehouse.snapshot_reading import answering, connect, current_snapshot, query

ROWS_SHOWN = 200


@click.command()
@click.argument("statement", metavar='"SELECT ..."')
@click.option("--clinic", help="One clinic only. [default: all clinics of this installation as one table]")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="Output."
)
def sql(statement: str, clinic: str | None, form: str) -> None:
    """Ask the current snapshot with SQL; nothing can be changed and no other file can be read.

    Tables: referrals, worklist, unread_forms, referral_history, lineage, publication, conditions, form.
    """
    with plain_ends():
        home = Home.from_environment()
        snapshot = current_snapshot(home)
        with connect(snapshot, clinic, every_byte=form != "table") as connection:
            for line in notices(snapshot, home, clinic):
                click.echo(line, err=True)
            with answering():
                _show(query(connection, statement), form)


def _show(result: Any, form: str) -> None:
    if form != "table":
        (exports.write_csv if form == "csv" else exports.write_json)(result, sys.stdout)
        return
    rows = exports.rows_of(result)
    console().print(result_table(exports.columns_of(result), itertools.islice(rows, ROWS_SHOWN)))
    if next(rows, None) is not None:
        click.echo(f"only the first {ROWS_SHOWN} rows are shown; --format csv gives all", err=True)
