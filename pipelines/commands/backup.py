"""``hiptriage backup``: a copy of this installation that can be put back."""

from pathlib import Path

import click

from pipelines.outcomes import REFUSED, Ended, plain_ends
from warehouse import backup as backups
from warehouse.home import Home

AMISS = ("archived files missing", "archived files changed")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def backup(folder: Path) -> None:
    """Back this installation up into a new folder under FOLDER, which is named by the time.

    It holds patients' data: FOLDER should lie on another disk, encrypted, and be closed to others.
    """
    with plain_ends():
        try:
            made = backups.make(Home.from_environment(), folder)
        except backups.BackupRefused as refused:
            raise Ended(REFUSED, str(refused)) from None
        click.echo(f"backup {made.path}")
        for name, count in made.counts.items():
            if count:
                click.echo(f"  {name}: {count}")
        if any(made.counts[name] for name in AMISS):
            click.echo("the backup is as the home is; what is amiss in its archive: hiptriage doctor", err=True)
        click.echo("put back with: hiptriage restore " + str(made.path))
