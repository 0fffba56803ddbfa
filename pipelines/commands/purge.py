"""``hiptriage purge``: remove what is older than the settings keep.

Belongs here: options and what is printed. Does not belong here: what goes (``pipelines.changes.purging``), imported
late because it brings dagster.
"""

import click

from pipelines.instance import use_instance_of
from pipelines.outcomes import plain_ends
from warehouse.home import Home

NOTHING_REMOVED = "nothing removed: add --yes"


@click.command()
@click.option("--by", metavar="NAME", help="Who does this, for the audit. [default: this account]")
@click.option("--yes", is_flag=True, help="Do it; without it only counts are shown.")
def purge(by: str | None, yes: bool) -> None:
    """Remove what is older than settings.toml keeps: snapshots, archived files, Dagster's runs, the access log.

    Archived files go only if all of their records were taken in and none waits in the quarantine.
    """
    with plain_ends():
        home = Home.from_environment()
        folder = use_instance_of(home)
        import dagster as dg  # takes seconds to import

        from pipelines.changes.purging import purge_now, what_is_due

        with dg.DagsterInstance.from_config(str(folder)) as instance:
            counts = purge_now(home, instance, by=by) if yes else what_is_due(home, instance)
        for name, count in counts.items():
            click.echo(f"{count:>10,}  {name.replace('_', ' ')}")
        if not yes:
            click.echo(NOTHING_REMOVED)
