"""``hiptriage model promote``, ``rollback``, ``suspend``, ``resume``: changing which model is in force.

Belongs here: options, what is printed, exit codes. Does not belong here: the steps of a change
(``pipelines.changes.promotion``), imported late because it loads models.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipelines.console import TIER_WORDS, visible
from pipelines.instance import use_instance_of
from pipelines.outcomes import REFUSED, UNEXPECTED, USAGE, Ended, plain_ends
from schemas.tiers import tiers
from warehouse.home import Home
from warehouse.snapshot_reading import current_snapshot

if TYPE_CHECKING:
    from pipelines.changes.proposal import Proposal
    from warehouse.preview import TierChanges

# Errors whose message is one plain sentence; by name, so that reading commands need not load what raises them.
_ENDS = {"ChangeRefused": REFUSED, "StoreRefused": REFUSED, "ModelRefused": REFUSED, "VersionMissing": USAGE}
NOTHING_CHANGED = "nothing changed: add --yes"
by_option = click.option("--by", required=True, metavar="NAME", help="Who does this.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why, for the history.")


@contextmanager
def plain_model_ends() -> Iterator[None]:
    """``plain_ends``, with the refusals of the model store as their own sentences."""
    with plain_ends():
        try:
            yield
        except Exception as error:
            if code := _ENDS.get(type(error).__name__):
                raise Ended(code, str(error)) from None
            raise


@click.command()
@click.argument("version")
@by_option
@click.option("--second", required=True, metavar="NAME", help="Who else agrees; another person.")
@reason_option
@click.option("--yes", is_flag=True, help="Do it; without it only the preview and the gates are shown.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(0), help="Changed referrals to list.")
def promote(version: str, by: str, second: str, reason: str, yes: bool, limit: int) -> None:
    """Put VERSION in force, if the gates let it pass, and publish the table anew.

    First shows which open referrals would change tier, and what the gates say.
    """
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import promotion
        from pipelines.changes.proposal import propose

        agreed = promotion.agree(by=by, second=second, reason=reason)
        with promotion.changing(home, "promote"):
            if promotion.unfinished(home, version):
                click.echo("this promotion was entered before and not published: going on with it")
                _publish(home)
                return
            proposal = propose(home, version)
            if proposal is None:
                click.echo(f"model {version} is in force already; nothing changed")
                return
            click.echo(f"model {version} in place of {proposal.before}")
            click.echo(proposal.shadow)
            tell_tiers(proposal.tiers, limit)
            _tell_gates(proposal)
            if not yes:
                click.echo(NOTHING_CHANGED)
                return
            promotion.promote(home, proposal, agreed)
            click.echo(f"model {version} is in force")
            _publish(home)


@click.command()
@by_option
@reason_option
def rollback(by: str, reason: str) -> None:
    """Go back to the model in force before the last promotion, and to the table published then."""
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import promotion

        with promotion.changing(home, "rollback"):
            done = promotion.rollback(home, promotion.agree(by=by, reason=reason))
            click.echo(f"model {done.now} is in force again")
            if done.snapshot_id:
                click.echo(f"snapshot {done.snapshot_id}, published before that promotion, is current again")
            else:
                click.echo(f"{done.scored_anew_because}: scoring and publishing with this model instead")
                _publish(home)


@click.command()
@by_option
@reason_option
def suspend(by: str, reason: str) -> None:
    """Take the model out of force: rules alone decide, under a banner, until hiptriage model resume."""
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import promotion

        with promotion.changing(home, "suspend"):
            now = promotion.suspend(home, promotion.agree(by=by, reason=reason))
            click.echo(f"model {now.version} is suspended: rules alone decide until hiptriage model resume")
            _publish(home)


@click.command()
@by_option
@reason_option
def resume(by: str, reason: str) -> None:
    """Put the suspended model in force again."""
    with plain_model_ends():
        home = Home.from_environment()
        from pipelines.changes import promotion

        with promotion.changing(home, "resume"):
            now = promotion.resume(home, promotion.agree(by=by, reason=reason))
            click.echo(f"model {now.version} is in force again")
            _publish(home)


def _publish(home: Home) -> None:
    """Score what lacks a score and publish, as ``hiptriage run`` does; a failure leaves that to the next run."""
    folder = use_instance_of(home)
    from pipelines.materialise import RunFailed, materialise  # dagster takes seconds to import

    try:
        materialise(folder, [])
    except RunFailed as failed:
        code = UNEXPECTED if failed.unexpected else REFUSED
        raise Ended(code, f"{failed}; the change stands, and the next hiptriage run publishes it") from None
    click.echo(f"snapshot {current_snapshot(home).id} is current")


def tell_tiers(changes: "TierChanges", limit: int) -> None:
    """Which referrals change tier: counts by direction, then clinic, record and tiers, and nothing else of them."""
    sooner = sum(change.sooner for change in changes.changed)
    later = len(changes.changed) - sooner
    click.echo(
        f"{len(changes.changed)} of {changes.records} open referrals change tier: {sooner} sooner, {later} later"
    )
    for (before, after), count in _moves(changes):
        click.echo(f"  {count:>6}  {TIER_WORDS[before]} -> {TIER_WORDS[after]}")
    for change in changes.changed[:limit]:
        record = visible(f"{change.clinic_id}/{change.record_id}")
        click.echo(f"  {record}  {TIER_WORDS[change.before]} -> {TIER_WORDS[change.after]}")
    if len(changes.changed) > limit:
        click.echo(f"  ... and {len(changes.changed) - limit} more: --limit shows them")


def _moves(changes: "TierChanges") -> list[tuple[tuple[str, str], int]]:
    counted = Counter((change.before, change.after) for change in changes.changed)
    return sorted(counted.items(), key=lambda item: [tiers()[tier].rank for tier in item[0]])


def _tell_gates(proposal: "Proposal") -> None:
    """Each gate with its verdict, figures and limit; then the generated records that would be newly missed."""
    click.echo("gates (limits not yet signed by a clinician; passing them is not proof of safety):")
    for gate in proposal.gates:
        click.echo(f"  {gate.state:<14}  {gate.name}: {gate.found}; limit: {gate.limit}")
    if proposal.newly_missed.height:
        click.echo("generated records of dangerous conditions that would be newly missed:")
    row: dict[str, Any]
    for row in proposal.newly_missed.iter_rows(named=True):
        tiers_told = f"{TIER_WORDS[row['before']]} -> {TIER_WORDS[row['after']]}"
        click.echo(f"  {row['record_id']}  {row['condition']}  {tiers_told}  ({row['kind']})")
