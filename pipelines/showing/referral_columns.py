"""What stands in the columns of the scored and of the published table, and where each comes from.

Belongs here: meanings and lineage of columns, for Dagster's pages; never a value. Does not belong here: names and types
(``schemas.referral``), the intake tables (``pipelines.showing.column_schemas``).

Lineage names the column that a value is copied from. What follows from all of a record's answers comes from
``intake_hash``, which stands for them: every question named would hide more than it shows.
"""

from collections.abc import Iterable, Mapping

import dagster as dg
import pyarrow as pa

from schemas.form import questions
from schemas.records import record_schema
from schemas.referral import PUBLISHED, SCORED
from schemas.snapshot_tables import REFERRALS, published_columns
from warehouse.store import sql_type

COLUMN_SCHEMA, COLUMN_LINEAGE = "dagster/column_schema", "dagster/column_lineage"
_WHOLE_RECORD = "intake_hash"
_MEANING = {
    "clinic_id": "the clinic that sent the form",
    "record_id": "the clinic's own number of the record",
    "patient_key": "the clinic's own key of the person, by which records are linked",
    "data_kind": "live, sample or published_case",
    "submitted_at": "when the form was filled in, UTC",
    "received_at": "when its file arrived, UTC",
    "scored_at": "when it was scored, UTC",
    "headline": "facts at a glance",
    "pain_sites": "where it hurts, the boxes of the form that are ticked",
    "special": "circumstances that change the way: child, young_person, pregnancy, safeguarding_review, imaged",
    "tier": "one of the six, as computed",
    "tier_basis": "what decided: rule, model or floor",
    "tier_reason": "why, in one sentence",
    "priority_score": "0 to 100, orders rows within the tiers",
    "clock_hours": "the earliest clock of tier and fired rules, hours",
    "ask_by": "by when somebody should phone to complete the form, UTC",
    "destination": "where to",
    "first_imaging": "the first imaging to consider, never one already done",
    "red_flags": "the rules that fired, with their source",
    "rule_status": "every emergency and same-day rule: yes, no, cannot_tell, not_asked",
    "questions_to_ask": "missing facts that could change the tier most",
    "differential": "conditions with their probability, most probable first; sums to 1 over the 27",
    "prediction_set": "conditions that cannot be excluded",
    "contributing_factors": "mechanical causes, at most three",
    "reasons": "findings for and against",
    "until_seen": "protective advice while danger is not excluded",
    "self_care": "ids of the articles' advice that applies and harms nothing that is not excluded",
    "safety_net": "when to seek care at once, by tier",
    "needs_review": "whether a person has to look before anything else",
    "review_reason": "why a person has to look",
    "has_notes": "whether the form came with free text, which is no part of any table that is published",
    "evidence_basis": "literature, or literature+outcomes(n)",
    "model_version": "the model that scored",
    "catalogue_version": "the conditions and figures it was scored by",
    "rules_version": "the red-flag rules it was scored by",
    "contract_version": "the contract its record was read by",
    "intake_hash": "SHA-256 of the canonical record",
    "episode_started_at": "first submission of the record, UTC",
    "see_by": "by when the person has to be seen; a correction never moves it later, UTC",
    "earlier_red_flags": "red flags that an earlier version of the record stated",
    "status": "open, acknowledged, booked, seen or closed, as decision and outcome files say",
    "decided_tier": "the tier that a clinician decided",
    "decided_by": "which clinician decided",
    "decided_at": "when, UTC",
    "decision_reason": "why, a code",
    "effective_tier": "the decided tier where it stands, else the computed one",
    "earlier_records": "records of the same person in the clinic, with tier and confirmed condition",
}
_HISTORY = {name for name, _ in PUBLISHED}


def _schema(columns: Iterable[tuple[str, pa.DataType]]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, sql_type(kind), description=_said(name)) for name, kind in columns])


def _said(name: str) -> str:
    return _MEANING.get(name) or questions()[name].question


def _lineage(source: str, names: Mapping[str, str]) -> dg.TableColumnLineage:
    key = dg.AssetKey(source)
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(asset_key=key, column_name=column)] for name, column in names.items()}
    )


_PUBLISHED = [(name, kind) for name, kind in [*SCORED, *PUBLISHED] if name in published_columns()[REFERRALS]]
_ARRIVED = set(record_schema().names)

_UNREAD = [
    ("batch_id", "VARCHAR", "the batch that the refused record came in"),
    ("record_number", "BIGINT", "place of the record in its file"),
    ("possible_tier", "VARCHAR", "the tier that its readable cells may mean; none where they say nothing"),
    ("possible_red_flags", "VARCHAR[]", "the rules that fire on its readable cells"),
    ("rules_version", "VARCHAR", "the red-flag rules that looked at it"),
]

# Definition metadata of the assets.
UNREAD_SCHEMA = {
    COLUMN_SCHEMA: dg.TableSchema([dg.TableColumn(name, kind, description=said) for name, kind, said in _UNREAD])
}
SCORE_SCHEMA = {COLUMN_SCHEMA: _schema(SCORED)}
SNAPSHOT_SCHEMA = {COLUMN_SCHEMA: _schema(_PUBLISHED)}

# Metadata of each materialisation: Dagster reads lineage from nowhere else.
SCORE_LINEAGE = {
    COLUMN_LINEAGE: _lineage(
        "intake_valid", {name: name if name in _ARRIVED else _WHOLE_RECORD for name, _ in SCORED if name != "scored_at"}
    )
}
SNAPSHOT_LINEAGE = {
    COLUMN_LINEAGE: _lineage(
        "referral_score",
        {
            name: {"episode_started_at": "submitted_at", "see_by": "clock_hours", "effective_tier": "tier"}.get(
                name, name
            )
            for name, _ in _PUBLISHED
            if name not in _HISTORY - {"episode_started_at", "see_by", "effective_tier"}
        },
    )
}
