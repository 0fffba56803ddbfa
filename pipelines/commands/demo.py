"""``hiptriage demo``: the whole graph on the bundled records, for somebody who has never seen it."""

from pathlib import Path

import click

from pipelines.commands.run import end, land, process, report
from pipelines.outcomes import plain_ends
from warehouse.home import DEMO_HOME, PACKAGE, Home
from warehouse.lock import holding
from warehouse.settings import DataKind

BUNDLED: dict[str, DataKind] = {"published-cases.csv": "published_case", "sample-clinic.csv": "sample"}
HEAD = 8


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Load the published cases and the sample clinic, and print the head of both worklists.

    Uses warehouse/demo unless HIPTRIAGE_HOME names another home.
    """
    import os

    from pipelines.commands.worklist import worklist

    with plain_ends():
        os.environ.setdefault("HIPTRIAGE_HOME", str(DEMO_HOME))
        home = Home.from_environment()
        with holding(home, "hiptriage demo"):
            known = [
                counts
                for name, kind in BUNDLED.items()
                for counts in land(
                    home, (PACKAGE / "bundled" / name,), clinic=name.removesuffix(".csv"), data_kind=kind
                )
            ]
            done = process(home)
        report(home, done, known)
    for clinic in ("published-cases", "sample-clinic"):
        click.echo(f"\n== {clinic} ==")
        context.invoke(worklist, clinic=clinic, limit=HEAD)
    program = Path(".venv/bin/hiptriage")
    click.echo(f"\nthis installation: HIPTRIAGE_HOME={home.root}")
    click.echo(f"next: {program} explain published-cases/RECORD; {program} quarantine list")
    click.echo("the clinicians' page: make serve; the Dagster UI: make dev")
    end(home, done)
