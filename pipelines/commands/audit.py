"""``hiptriage audit``: who changed what and when, oldest first; that the chain is whole says ``hiptriage doctor``."""

import json
import sys
from dataclasses import asdict

import click

from pipelines.console import console, result_table
from pipelines.outcomes import plain_ends
from warehouse import audit as chain
from warehouse import exports
from warehouse.home import Home
from warehouse.store import opened

SHOWN = 20
_IN_TABLE = ("entry_number", "happened_at", "event", "subject", "by_name", "second_name", "reason", "counts")


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help=f"The last so many entries. [default: {SHOWN} in a table]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="json and csv hold every column, with the hashes.",
)
def audit(limit: int | None, form: str) -> None:
    """List the entries of the audit: arrivals, refusals, changes of model, withdrawals, publications and more."""
    with plain_ends():
        with opened(Home.from_environment(), "list the audit") as connection:
            last = SHOWN if limit is None and form == "table" else limit
            rows = [asdict(entry) for entry in chain.last_entries(connection, last)]
            total = chain.head(connection).entries
        if form == "json":
            exports.write_array((json.dumps(row) for row in rows), sys.stdout)
        elif form == "csv":
            columns = list(chain.Entry.__dataclass_fields__)
            exports.write_rows(columns, (tuple(row[name] for name in columns) for row in rows), sys.stdout)
        else:
            console().print(result_table(list(_IN_TABLE), (tuple(row[name] for name in _IN_TABLE) for row in rows)))
            click.echo(f"{len(rows)} of {total} entries; hiptriage doctor says whether the chain is whole")
