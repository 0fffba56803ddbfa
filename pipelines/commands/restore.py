"""``hiptriage restore``: a backup put back."""

import time
from pathlib import Path

import click

from pipelines.outcomes import REFUSED, Ended, plain_ends
from warehouse.backup import BackupRefused
from warehouse.home import Home
from warehouse.restoring import Restored
from warehouse.restoring import restore as put_back

ALIVE_SECONDS = 90  # Dagster's daemons say every 30 seconds that they live


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--replace", is_flag=True, help="Put what is in the home aside, inside it; nothing is deleted.")
@click.option("--by", help="Who does this, for the audit. [default: this account]")
def restore(folder: Path, replace: bool, by: str | None) -> None:
    """Put the backup in FOLDER back, after checking every file of it. Stop the services first.

    The landing folder stays as it is. Then: hiptriage doctor, and hiptriage run for what has come in since.
    """
    with plain_ends():
        home = Home.from_environment()
        services_run, batch_ids = _dagster(home)
        if services_run:
            raise Ended(REFUSED, "the services still run on this home: stop them first; nothing was changed")
        try:
            done = put_back(home, folder, replace=replace, by=by, batch_ids=batch_ids)
        except BackupRefused as refused:
            raise Ended(REFUSED, str(refused)) from None
        _tell(done)


def _tell(done: Restored) -> None:
    made = f"{done.backup.made_at:%Y-%m-%d %H:%M} UTC"
    counts = done.backup.counts
    click.echo(f"restored the backup of {made}: {counts['batches']} batches, {counts['records']} records")
    if done.landing:
        click.echo(f"{done.landing} files that nobody had taken in were put back into the landing folder")
    if done.aside:
        click.echo(f"what was here before lies in {done.aside}: patients' data, to be removed when nobody needs it")
    if done.entered_again:
        click.echo(f"{done.entered_again} files that came in after the backup were entered again and wait to be loaded")
    if done.not_entered:
        click.echo(
            f"{done.not_entered} archived files came in after the backup and their clinic is not known: give them "
            f"again with hiptriage run {done.aside}/archive/HASH --clinic ID"
        )
    known = "" if done.withdrawals is None else f" ({done.withdrawals} of them are known)"
    click.echo(
        f"WITHDRAWALS made after {made} are NOT in it{known}: withdraw those records again before anybody reads the "
        "worklist. Changes of model since then are not in it either"
    )
    click.echo("next: hiptriage doctor; hiptriage run; then start the services")


def _dagster(home: Home) -> tuple[bool, list[str]]:
    """Whether Dagster's daemons live on this home, and the batches it knows; nothing if it cannot be asked."""
    if not (home.dagster / "dagster.yaml").exists():
        return False, []
    import dagster as dg  # takes seconds to import

    from pipelines.defs.intake import BATCHES

    try:
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
            batch_ids = list(instance.get_dynamic_partitions(str(BATCHES.name)))
    except Exception:  # its storage may be what is broken
        click.echo("Dagster's storage cannot be read: make sure that no service runs on this home", err=True)
        return False, []
    return any(time.time() - beat < ALIVE_SECONDS for beat in beats), batch_ids
