"""``hiptriage model shadow``: a model or knowledge that scores beside what is in force and is not published.

Belongs here: options, what is printed, exit codes. Does not belong here: the steps (``pipelines.changes.shadow``),
imported late because it loads models.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.commands.model_changes import by_option, plain_model_ends, reason_option, tell_tiers
from pipelines.console import visible
from warehouse.home import Home

if TYPE_CHECKING:
    from pipelines.changes.shadow import Seen


@click.group()
def shadow() -> None:
    """A model or changed knowledge beside what is in force: tiers both ways, and nothing published."""


@shadow.command()
@click.argument("version", required=False)
@click.option(
    "--knowledge",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Changed files of models/knowledge: rules, catalogue, advice; the others stay as they are.",
)
@by_option
@reason_option
def start(version: str | None, knowledge: Path | None, by: str, reason: str) -> None:
    """Let VERSION, changed knowledge, or both score in shadow, and score what is there."""
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import promotion
        from pipelines.changes import shadow as running

        run = running.start(home, promotion.agree(by=by, reason=reason), version=version, knowledge=knowledge)
        click.echo(f"shadow {run.number} runs: {visible(run.subject)}")
        running.score_in_shadow(home, click.echo)
        click.echo("hiptriage model shadow show lists the tiers that would change")


@shadow.command()
@click.option("--limit", default=100, show_default=True, type=click.IntRange(0), help="Changed referrals to list.")
def show(limit: int) -> None:
    """Score what came in, and list who would change tier: those who would be seen later first."""
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import shadow as running

        running.score_in_shadow(home, lambda _: None)
        _tell(running.look(home), limit)


def _tell(seen: "Seen", limit: int) -> None:
    run, comparison = seen.run, seen.comparison
    click.echo(
        f"shadow {run.number} ({visible(run.subject)}) since {run.started_at:%Y-%m-%d %H:%M} UTC by {visible(run.by)}: "
        f"{run.records:,} records scored, {comparison.unscored:,} not yet"
    )
    tell_tiers(comparison.changes, limit)


@shadow.command()
@by_option
@reason_option
def stop(by: str, reason: str) -> None:
    """End the shadow; its scores go, and that it ran stays in the audit."""
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import promotion
        from pipelines.changes import shadow as running

        run, records = running.stop(home, promotion.agree(by=by, reason=reason))
        click.echo(f"shadow {run.number} ({visible(run.subject)}) ended after {records:,} records")
