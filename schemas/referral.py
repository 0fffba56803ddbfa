"""The shape of the referral table, column by column.

Belongs here: names and types that clinics and outside tools rely on; a rename breaks them. Does not belong here:
how a column is filled (``models.referral`` for what a record alone decides, ``warehouse`` for what its history adds).
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from schemas.records import UTC_TIME

_TEXTS = pa.list_(pa.string())


def _structs(**fields: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct(list(fields.items())))


# Decided by the record's own answers, the knowledge and the model: the output of models.referral.referral_rows.
SCORED: list[tuple[str, pa.DataType]] = [
    ("clinic_id", pa.string()),
    ("record_id", pa.string()),
    ("patient_key", pa.string()),
    ("data_kind", pa.string()),
    ("submitted_at", UTC_TIME),
    ("received_at", UTC_TIME),
    ("scored_at", UTC_TIME),
    ("headline", pa.string()),
    ("age_years", pa.int32()),
    ("sex", pa.string()),
    ("side", pa.string()),
    ("worse_side", pa.string()),
    ("pain_sites", _TEXTS),
    ("duration_weeks", pa.float64()),
    ("weight_bearing", pa.string()),
    ("running_now", pa.string()),
    ("special", _TEXTS),
    ("tier", pa.string()),
    ("tier_basis", pa.string()),
    ("tier_reason", pa.string()),
    ("priority_score", pa.float64()),
    ("clock_hours", pa.float64()),
    ("ask_by", UTC_TIME),
    ("destination", pa.string()),
    ("first_imaging", pa.string()),
    ("red_flags", _structs(id=pa.string(), text=pa.string(), tier=pa.string(), source=pa.string())),
    ("rule_status", _structs(id=pa.string(), result=pa.string(), missing=_TEXTS)),
    ("questions_to_ask", _structs(column=pa.string(), question=pa.string(), why=pa.string())),
    ("differential", _structs(condition=pa.string(), probability=pa.float64())),
    ("prediction_set", _TEXTS),
    ("contributing_factors", _TEXTS),
    (
        "reasons",
        _structs(
            column=pa.string(),
            answer=pa.string(),
            condition=pa.string(),
            direction=pa.string(),
            weight=pa.float64(),
        ),
    ),
    ("until_seen", _TEXTS),
    ("self_care", _TEXTS),
    ("safety_net", _TEXTS),
    ("needs_review", pa.bool_()),
    ("review_reason", pa.string()),
    ("has_notes", pa.bool_()),
    ("evidence_basis", pa.string()),
    ("model_version", pa.string()),
    ("catalogue_version", pa.string()),
    ("rules_version", pa.string()),
    ("contract_version", pa.string()),
    ("intake_hash", pa.string()),
]

# Added when the table is published: the record's history, its clock, and what clinicians decided.
PUBLISHED: list[tuple[str, pa.DataType]] = [
    ("episode_started_at", UTC_TIME),
    ("see_by", UTC_TIME),
    ("earlier_red_flags", _structs(id=pa.string(), stated_at=UTC_TIME)),
    ("status", pa.string()),
    ("decided_tier", pa.string()),
    ("decided_by", pa.string()),
    ("decided_at", UTC_TIME),
    ("decision_reason", pa.string()),
    ("effective_tier", pa.string()),
    (
        "earlier_records",
        _structs(record_id=pa.string(), submitted_at=UTC_TIME, tier=pa.string(), confirmed=pa.string()),
    ),
]


@cache
def scored_schema() -> pa.Schema:
    """One row a scored record: every column that the record, the knowledge and the model decide alone."""
    return pa.schema(SCORED)


@cache
def referral_schema() -> pa.Schema:
    """One row a record of the published ``referrals`` table."""
    return pa.schema([*SCORED, *PUBLISHED])
