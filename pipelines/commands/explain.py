"""``hiptriage explain``: one record with all that its place in the worklist rests on."""

import textwrap

import click

from pipelines.console import WIDTH, notices, zone
from pipelines.outcomes import USAGE, Ended, plain_ends
from pipelines.record_in_full import lines
from warehouse import exports
from warehouse.home import Home
from warehouse.snapshot_reading import connect, current_snapshot


@click.command()
@click.argument("record", metavar="CLINIC/RECORD")
def explain(record: str) -> None:
    """Show one record with its basis: rules fired, findings for and against, what is missing, versions.

    For a health professional's decision, never in its place; not for patients to use alone.
    """
    with plain_ends():
        clinic, slash, record_id = record.partition("/")
        if not slash or not record_id:
            raise Ended(USAGE, "name the record as CLINIC/RECORD")
        home = Home.from_environment()
        snapshot = current_snapshot(home)
        with connect(snapshot, clinic) as connection:
            found = exports.dicts_of(connection.execute("SELECT * FROM referrals WHERE record_id = ?", [record_id]))
            if not found:
                raise Ended(USAGE, f"clinic {clinic} has no such record in the current snapshot")
            names = dict(connection.execute("SELECT condition, name FROM conditions").fetchall())
            came_from = connection.execute(
                "SELECT intake_hash, file_sha256, record_number FROM lineage WHERE record_id = ? "
                "ORDER BY submitted_at DESC",
                [record_id],
            ).fetchall()
            concerns = connection.execute(
                "SELECT concern, reported_at, reported_by FROM safety_concerns WHERE record_id = ? "
                "ORDER BY reported_at DESC, received_at DESC",
                [record_id],
            ).fetchall()
        lineage = [f"version {intake[:12]}: record {number} of file {file}" for intake, file, number in came_from]
        told = lines(found[0], names, lineage, concerns, zone(home, clinic))
        for line in (*notices(snapshot, home, clinic), "", *told):
            indent = " " * (len(line) - len(line.lstrip()))
            click.echo(textwrap.fill(line, WIDTH, subsequent_indent=f"{indent}  ", break_on_hyphens=False))
