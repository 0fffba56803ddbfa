"""Lowered tiers: what the publish gate says of records whose answers are the same and whose tier is less urgent now.

Belongs here: comparing an assembled table with the one before, the limits, and letting records keep the score that
they had. A rise, a new record and a corrected one are never looked at. What is held is the lowering and not the
publication: a new emergency must not wait for somebody to agree that an old one is none (``docs/decisions``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.model_history import Change
from warehouse.publication import quoted
from warehouse.publish_gate import Finding, Override, PublicationHeld

NAME = "tiers not lowered"
NEXT = (
    "look at what changed (program, knowledge or a model that could not be loaded); if the lower tiers are right, let "
    "them pass with the job publish_with_override or hiptriage run --override-reason TEXT --by NAME"
)


_COMPARED = (
    "clinic_id, record_id, intake_hash, model_version, catalogue_version, rules_version, contract_version, scored_at, "
    "tier"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishLimits:
    """How many records may be lowered: from emergency, from same_day, and as a share of the unchanged records.

    The share is judged from ``least_records`` unchanged records on. Without figures nothing may be lowered.
    """

    from_emergency_at_most: int = 0
    from_same_day_at_most: int = 0
    share_at_most: float = 0.0
    least_records: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """How many records both tables hold with the same answers, and how many of them became less urgent."""

    unchanged: int
    lowered: int
    from_emergency: int
    from_same_day: int

    def beyond(self, limits: PublishLimits) -> bool:
        """Whether that is more than the limits allow."""
        many = self.unchanged >= limits.least_records and self.lowered > limits.share_at_most * self.unchanged
        return (
            many
            or self.from_emergency > limits.from_emergency_at_most
            or self.from_same_day > limits.from_same_day_at_most
        )


def compare(cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], *, but_by_model: bool = False) -> Lowered:
    """Compare what is assembled with the Parquet files of the table before; leaves ``lowered_record``.

    ``but_by_model``: leave out what another model alone explains, with the same rules, catalogue and contract.
    ``cursor``: that of ``publication.assembling``, after ``assemble``. The computed tiers are compared: a clinician's
    decision is nobody's to hold back.
    """
    # File by file: those of an older table may have other columns beside these.
    before = " UNION ALL ".join(f"SELECT {_COMPARED} FROM read_parquet({quoted(file)})" for file in files)
    before = before or f"SELECT {_COMPARED} FROM published_referrals LIMIT 0"
    cursor.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE compared_record AS
        SELECT b.clinic_id, b.record_id, b.intake_hash, b.model_version, b.catalogue_version, b.rules_version,
               b.contract_version, b.scored_at, b.tier AS tier_before, was.rank AS rank_before, now.rank AS rank_now,
               (b.model_version, b.catalogue_version, b.rules_version, b.contract_version, b.scored_at)
               <> (s.model_version, s.catalogue_version, s.rules_version, s.contract_version, s.scored_at)
                   AS by_another_score,
               b.model_version <> s.model_version AND (b.catalogue_version, b.rules_version, b.contract_version)
               = (s.catalogue_version, s.rules_version, s.contract_version) AS by_model_alone
        FROM ({before}) b
        JOIN record_clock k USING (clinic_id, record_id, intake_hash)
        JOIN referral_score s ON s.rowid = k.score_row
        JOIN tier_order was ON was.id = b.tier
        JOIN tier_order now ON now.id = k.tier
        """
    )
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE lowered_record AS SELECT * FROM compared_record WHERE rank_now > rank_before"
        + (" AND NOT by_model_alone" if but_by_model else "")
    )
    ((unchanged, lowered, emergency, same_day),) = cursor.execute(
        "SELECT (SELECT count(*) FROM compared_record), count(*), count(*) FILTER (tier_before = 'emergency'), "
        "count(*) FILTER (tier_before = 'same_day') FROM lowered_record"
    ).fetchall()
    return Lowered(unchanged=unchanged, lowered=lowered, from_emergency=emergency, from_same_day=same_day)


def keep(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Let lowered records keep the score of the table before in what is assembled next; gives how many by clinic."""
    cursor.execute("CREATE OR REPLACE TEMP TABLE kept_score AS SELECT * FROM lowered_record WHERE by_another_score")
    return dict(cursor.execute("SELECT clinic_id, count(*) FROM kept_score GROUP BY clinic_id").fetchall())


def check_kept(left: Lowered) -> None:
    """With the earlier scores back: raises PublicationHeld where an emergency or same_day is lowered all the same.

    A tier of soon or less may follow from the history alone (another record of the same person was withdrawn).
    """
    if left.from_emergency or left.from_same_day:
        raise PublicationHeld([_finding("held", left, PublishLimits(), "which their earlier scores do not explain")])


def finding(
    lowered: Lowered, limits: PublishLimits, *, kept: int, override: Override | None, change: Change | None
) -> Finding:
    """What the gate says of the tiers. ``kept``: rows that keep their earlier tier in the new table.

    ``change``: a change of model that people put their names to and that waits to be published: it is an override of
    what it explains, and ``kept`` are the rows that other rules, another catalogue or program lowered.
    """
    if not lowered.beyond(limits) and not kept:
        return _finding("passed", lowered, limits, "")
    if override:
        return _finding("overridden", lowered, limits, "let pass with a name and a reason")
    if change and not kept:
        return _finding("overridden", lowered, limits, f"let pass by the {change.kind} that is published with them")
    return _finding("held", lowered, limits, f"{kept} rows keep their earlier, more urgent tier")


def _finding(state: str, lowered: Lowered, limits: PublishLimits, said: str) -> Finding:
    found = (
        f"{lowered.lowered} of {lowered.unchanged} records with the same answers are less urgent than in the table "
        f"before, {lowered.from_emergency} of them were emergency and {lowered.from_same_day} same_day"
    )
    return Finding(
        name=NAME,
        state=state,
        found=f"{found}; {said}" if said else found,
        limit=(
            f"{limits.from_emergency_at_most} from emergency, {limits.from_same_day_at_most} from same_day, "
            f"{limits.share_at_most:.0%} of all from {limits.least_records} on (not yet signed by a clinician)"
        ),
        next_step=NEXT if state == "held" else "",
    )
