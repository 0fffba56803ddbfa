"""Which columns the tables of a published snapshot may have: the list that the publish gate holds every file against.

Belongs here: names that clinics and outside tools read. Does not belong here: how the tables are filled
(``warehouse``), the types of ``referrals`` (``schemas.referral``), the tables that came later
(``schemas.added_tables``). A column that is not listed here is not published:
no free text of a form, no name of a file and no cell as it was written has a place in a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from schemas.added_tables import ADDED_TABLES
from schemas.referral import referral_schema

REFERRALS, GROUP = "referrals", "group"
_VERSIONS = "model_version catalogue_version rules_version contract_version"
_OTHERS = {
    "worklist": """
        place clinic_id record_id effective_tier overdue see_by priority_score headline tier_reason computed_tier
        tier_basis needs_review review_reason decided_tier decided_by decided_at decision_reason destination
        first_imaging red_flags until_seen ask_by questions_to_ask most_likely cannot_be_excluded contributing_factors
        safety_net special status submitted_at episode_started_at has_notes data_kind evidence_basis model_version
    """,
    "unread_forms": "clinic_id record_id received_at possible_tier error_codes act_by file_sha256 record_number",
    "referral_history": f"""
        clinic_id record_id submitted_at scored_at tier tier_basis priority_score {_VERSIONS} intake_hash
    """,
    "lineage": "clinic_id record_id submitted_at intake_hash file_sha256 record_number received_at",
    "publication": f"clinic_id code_version {_VERSIONS} evidence_basis training banner content_at",
    "conditions": """
        condition kind name plain_name dangerous default_tier destination first_imaging seek_care articles codes
        signed_by signed_on
    """,
    "form": "column group question type allowed sensitivity",
}
_GROUP = "clinic_id effective_tier referrals suppressed"
# Worked out from a record alone and folded into see_by when it is published.
_NOT_PUBLISHED = frozenset({"clock_hours"})


@cache
def published_columns() -> Mapping[str, frozenset[str]]:
    """The columns that each table or view of a clinic's file may have, by its name; no other table may be there.

    ``referrals`` is also the one table of the clinic's Parquet file.
    """
    referrals = frozenset(referral_schema().names) - _NOT_PUBLISHED
    others = {table: frozenset(columns.split()) for table, columns in _OTHERS.items()}
    return {REFERRALS: referrals} | others | {table: frozenset(types) for table, types in ADDED_TABLES.items()}


@cache
def group_columns() -> frozenset[str]:
    """The columns of the group file of suppressed counts."""
    return frozenset(_GROUP.split())
