"""``hiptriage sql``: read-only SQL over the current snapshot."""

import itertools
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from pipelines.console import console, notices, result_table
from pipelines.outcomes import USAGE, plain_ends
from warehouse import exports
from warehouse.home import Home
from warehouse.snapshot_reading import TOO_LARGE, QueryRefused, answering, connect, current_snapshot
from warehouse.statements import answer, too_slow

ROWS_SHOWN = 200
SECONDS = 60
MEMORY = 2 << 30  # bytes: what DuckDB may take is limited by itself, but single values count outside of that


@click.command()
@click.argument("statement", metavar='"SELECT ..."')
@click.option("--clinic", help="One clinic only. [default: all clinics of this installation as one table]")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="Output."
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 3600),
    default=SECONDS,
    show_default=True,
    help="Stop a statement that keeps the database busy for longer.",
)
def sql(statement: str, clinic: str | None, form: str, seconds: int) -> None:
    """Ask the current snapshot with SQL; nothing can be changed and no other file can be read.

    Tables: referrals, worklist, unread_forms, unread_follow_up, refused_files, decisions, outcomes, safety_concerns,
    referral_history, lineage, publication, conditions, rules, advice, form.
    """
    with plain_ends():
        home = Home.from_environment()
        snapshot = current_snapshot(home)
        with connect(snapshot, clinic, every_byte=form != "table") as connection:
            for line in notices(snapshot, home, clinic):
                click.echo(line, err=True)
            with answering(), _bounded_memory():
                _show(answer(connection, statement, seconds=seconds, when_deaf=partial(_give_up, seconds)), form)


def _show(result: Any, form: str) -> None:
    if form != "table":
        (exports.write_csv if form == "csv" else exports.write_json)(result, sys.stdout)
        return
    rows = exports.rows_of(result)
    console().print(result_table(exports.columns_of(result), itertools.islice(rows, ROWS_SHOWN)))
    if next(rows, None) is not None:
        click.echo(f"only the first {ROWS_SHOWN} rows are shown; --format csv gives all", err=True)


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """While a statement runs, this process gets so much memory beyond what it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (wanted if before == resource.RLIM_INFINITY else min(before, wanted), hard))
    try:
        yield
    except MemoryError:
        raise QueryRefused(TOO_LARGE) from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def _give_up(seconds: float) -> None:
    """End this process with one sentence: the database does not hear that it has to stop."""
    click.echo(f"hiptriage: {too_slow(seconds)}", err=True)
    os._exit(USAGE)
