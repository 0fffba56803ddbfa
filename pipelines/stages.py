"""The stages after intake, each as one call: what an asset materialises and what a job does after a change.

Belongs here: the order of calls within a stage and the counts it comes to. Knows nothing of Dagster. Does not belong
here: the graph (``pipelines.defs``), how records are scored (``models``) or published (``warehouse``).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from models.basis import Basis
from models.publish_limits import publish_limits
from models.referral import possible_tiers, referral_rows
from pipelines.model_in_force import basis_in_force, settle, versions_of
from pipelines.published_about import about
from warehouse import model_history, scores
from warehouse.home import Home
from warehouse.publish_gate import Override
from warehouse.snapshots import Published, publish
from warehouse.store import opened
from warehouse.tier_gate import PublishLimits

Say = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """How many records a stage took up, and the knowledge and model that it used."""

    records: int
    basis: Basis


def look_at_refused(home: Home, say: Say) -> Done:
    """Work out the tier that refused records may have, where that is not known by the rules in force.

    Raises WarehouseBusy, WarehouseRefused.
    """
    basis = basis_in_force(home)
    with opened(home, "look at refused records") as connection:
        refused = scores.unread_records(connection, basis.rules.version)
        forms = possible_tiers(refused, basis)
        scores.write_unread(connection, forms)
    say(f"unread forms: {forms.num_rows} refused records looked at")
    return Done(forms.num_rows, basis)


def score(home: Home, say: Say) -> Done:
    """Score every record that lacks a score by the versions in force. Raises WarehouseBusy, WarehouseRefused."""
    basis = basis_in_force(home)
    versions = versions_of(basis)
    scored = 0
    with opened(home, "score records") as connection:
        for records, for_rules in scores.next_unscored(connection, versions):
            rows = referral_rows(records, for_rules, basis, scored_at=datetime.now(UTC))
            scores.write(connection, rows)
            scored += rows.num_rows
    say(f"referrals: {scored} records scored by model {basis.model_version}")
    return Done(scored, basis)


def publish_snapshot(home: Home, say: Say, override: Override | None = None) -> Published:
    """Publish what is scored.

    ``override``: who lets lowered tiers pass, and why. Raises WarehouseBusy, SettingsRefused, WarehouseRefused.
    """
    settle(home)  # also where nothing else ran before: a change is not published before it is made
    limits = PublishLimits(**publish_limits().model_dump(include={field.name for field in fields(PublishLimits)}))
    published = publish(home, about=about(basis_in_force(home)), limits=limits, override=override)
    model_history.enter_published(home, published.snapshot_id)
    say(f"snapshot {published.snapshot_id}: {published.referrals} referrals published")
    for finding in published.gate:
        if finding.state != "passed":
            say(f"publish gate, {finding.name}, {finding.state}: {finding.found}")
    return published
