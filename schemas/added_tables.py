"""Tables of a published snapshot that the first snapshots did not have: their columns and types.

Belongs here: what a reader has to know to find an empty table where a snapshot was made before. Does not belong here:
what fills them (``warehouse/published.sql``), the tables that every snapshot has (``schemas.snapshot_tables``). Light:
every read command imports it.
"""

from __future__ import annotations

from collections.abc import Mapping

_FROM_FILE = "received_at TIMESTAMPTZ, file_sha256 VARCHAR"
_DECLARED = {
    # Every row that clinicians sent and that could be read, also where a later one stands in its place.
    "decisions": f"""
        clinic_id VARCHAR, record_id VARCHAR, submitted_at TIMESTAMPTZ, decided_at TIMESTAMPTZ, decided_by VARCHAR,
        status VARCHAR, decided_tier VARCHAR, reason VARCHAR, {_FROM_FILE}
    """,
    "outcomes": f"""
        clinic_id VARCHAR, record_id VARCHAR, submitted_at TIMESTAMPTZ, recorded_at TIMESTAMPTZ, attended BOOLEAN,
        confirmed_condition VARCHAR, also_confirmed VARCHAR, found_by VARCHAR, differential_seen_before VARCHAR,
        harm VARCHAR, harm_related VARCHAR, tier_in_hindsight VARCHAR, {_FROM_FILE}
    """,
    "safety_concerns": f"""
        clinic_id VARCHAR, record_id VARCHAR, submitted_at TIMESTAMPTZ, reported_at TIMESTAMPTZ, reported_by VARCHAR,
        concern VARCHAR, {_FROM_FILE}
    """,
    # Rows of such files that were refused and wait. contents: decision, outcome or safety_concern.
    "unread_follow_up": """
        clinic_id VARCHAR, contents VARCHAR, record_id VARCHAR, received_at TIMESTAMPTZ, error_codes VARCHAR[],
        file_sha256 VARCHAR, record_number BIGINT
    """,
    # Files of which nothing could be read. refusal: a code of schemas/problems.csv.
    "refused_files": f"clinic_id VARCHAR, refusal VARCHAR, {_FROM_FILE}",
    "rules": """
        id VARCHAR, text VARCHAR, tier VARCHAR, clock_hours DOUBLE, destination VARCHAR, first_imaging VARCHAR,
        source VARCHAR, signed_by VARCHAR, signed_on VARCHAR
    """,
    "advice": "id VARCHAR, text VARCHAR, article VARCHAR, numbers VARCHAR",
}


def _types(declared: str) -> Mapping[str, str]:
    return dict(column.split() for column in declared.split(","))


# By table: each column with its DuckDB type, in the order in which the file has them.
ADDED_TABLES: Mapping[str, Mapping[str, str]] = {table: _types(declared) for table, declared in _DECLARED.items()}
