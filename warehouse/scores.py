"""Scores in the warehouse: which record versions lack one, and keeping new ones.

Belongs here: what waits for a score and its storage; refused records and what they may still say. Does not belong
here: the scoring (``models.referral``). A record version is scored once for each set of versions
(model, catalogue, rules, contract).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import duckdb
import pyarrow as pa

from schemas.form import answer_columns
from schemas.records import answer_schema, record_schema
from schemas.referral import scored_schema
from warehouse.home import Home
from warehouse.model_history import waiting_change
from warehouse.sources import waiting_batches
from warehouse.store import execute_over, opened

RECORDS_A_BATCH = 20_000
# Where scores lie: those that are published, and those of a shadow, which never are (warehouse.shadow).
Table = Literal["referral_score", "shadow_score"]
PUBLISHED: Final = "referral_score"
SHADOW: Final = "shadow_score"


@dataclass(frozen=True, slots=True)
class Versions:
    """What a score depends on beside the record: the versions of model, catalogue, rules and contract."""

    model_version: str
    catalogue_version: str
    rules_version: str
    contract_version: str


BY_THESE = (
    "model_version = $model_version AND catalogue_version = $catalogue_version "
    "AND rules_version = $rules_version AND contract_version = $contract_version"
)
# A version waits if it never had a score, or if it is current and these versions have not scored it; and again when an
# older version came in after its score, because the rules carry forward what that one states. The older one has no
# score itself until both are scored in one step: that holds also where the clock went back since.
# ``table``: which scores by these versions count.
_WAITING = f"""
FROM intake_version AS v
LEFT JOIN (
    SELECT clinic_id, record_id, intake_hash, max(scored_at) AS scored_at
    FROM {{table}} WHERE {BY_THESE} GROUP BY ALL
) AS scored USING (clinic_id, record_id, intake_hash)
WHERE (scored.scored_at IS NULL AND (v.version_rank = 1 OR NOT EXISTS (
    SELECT 1 FROM referral_score s
    WHERE s.clinic_id = v.clinic_id AND s.record_id = v.record_id AND s.intake_hash = v.intake_hash
)))
OR EXISTS (
    SELECT 1 FROM (
        SELECT l.*, NOT EXISTS (
            SELECT 1 FROM referral_score s
            WHERE s.clinic_id = l.clinic_id AND s.record_id = l.record_id AND s.submitted_at = l.submitted_at
        ) AS is_unscored
        FROM intake_late l
    ) AS late
    WHERE late.clinic_id = v.clinic_id AND late.record_id = v.record_id
      AND late.submitted_at < v.submitted_at AND (late.is_unscored OR late.kept_at > scored.scored_at)
)
"""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What a run would have to do: batches to load, record versions to score.

    ``change_waits``: the model in force was changed and no snapshot holds that yet.
    """

    batch_ids: list[str]
    unscored: int
    change_waits: bool


def outstanding(home: Home, versions: Versions) -> Outstanding:
    """Look at what waits; whether what was loaded and scored is published too says ``warehouse.published_state``."""
    with opened(home, "look at what waits") as connection:
        unscored = count_unscored(connection, versions)
        return Outstanding(waiting_batches(connection), unscored, waiting_change(connection) is not None)


def count_unscored(connection: duckdb.DuckDBPyConnection, versions: Versions, table: Table = PUBLISHED) -> int:
    """How many record versions wait for a score in ``table``."""
    ((waiting,),) = connection.execute(f"SELECT count(*) {_WAITING.format(table=table)}", bound(versions)).fetchall()
    return int(waiting)


def count(connection: duckdb.DuckDBPyConnection, versions: Versions) -> int:
    """How many scores by these versions are kept. Scores are added and never changed, so the number tells of news."""
    ((number,),) = connection.execute(
        f"SELECT count(*) FROM referral_score WHERE {BY_THESE}", bound(versions)
    ).fetchall()
    return int(number)


def next_unscored(
    connection: duckdb.DuckDBPyConnection,
    versions: Versions,
    table: Table = PUBLISHED,
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Batches of records that wait for a score in ``table``, each with what the rules may use.

    The first table has the shape of ``schemas.records.record_schema``. The second has the same rows in the same order,
    with an answer that is blank now and was stated in an earlier version of the record carried forward.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE waiting AS SELECT v.batch_id, v.record_number {_WAITING.format(table=table)}",
        bound(versions),
    )
    columns = ", ".join(f'v."{field.name}"' for field in record_schema())
    carried = ", ".join(
        f'last_value("{field.name}" IGNORE NULLS) OVER so_far AS "{field.name}"'
        if field.name in answer_columns()
        else f'"{field.name}"'
        for field in record_schema()
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE carried AS
        SELECT batch_id, record_number, {carried} FROM intake_valid
        WHERE (clinic_id, record_id) IN (
            SELECT (clinic_id, record_id) FROM intake_valid GROUP BY clinic_id, record_id HAVING count(*) > 1
        )
        WINDOW so_far AS (PARTITION BY clinic_id, record_id ORDER BY submitted_at)
        """
    )
    filled = ", ".join(f'coalesce(c."{field.name}", v."{field.name}") AS "{field.name}"' for field in record_schema())
    source = "waiting JOIN intake_valid v USING (batch_id, record_number)"
    order = "ORDER BY batch_id, record_number LIMIT ? OFFSET ?"
    offset = 0
    while True:
        page = [RECORDS_A_BATCH, offset]
        records = connection.execute(f"SELECT {columns} FROM {source} {order}", page).to_arrow_table()
        if records.num_rows == 0:
            return
        for_rules = connection.execute(
            f"SELECT {filled} FROM {source} LEFT JOIN carried c USING (batch_id, record_number) {order}", page
        ).to_arrow_table()
        yield records.cast(record_schema()), for_rules.cast(record_schema())
        offset += records.num_rows


def write(connection: duckdb.DuckDBPyConnection, scores: pa.Table) -> None:
    """Keep scores of the shape ``schemas.referral.scored_schema``."""
    execute_over(connection, scores.cast(scored_schema()), "INSERT INTO referral_score SELECT * FROM arriving")


def unread_records(connection: duckdb.DuckDBPyConnection, rules_version: str) -> pa.Table:
    """Refused records that these rules have not looked at: batch_id, record_number and the readable answers."""
    columns = ", ".join(f'u."{field.name}"' for field in answer_schema())
    return connection.execute(
        f"""
        SELECT q.batch_id, q.record_number, {columns}
        FROM intake_waiting q LEFT JOIN intake_unread u USING (batch_id, record_number)
        ANTI JOIN (SELECT * FROM unread_form WHERE rules_version = ?) f USING (batch_id, record_number)
        ORDER BY q.batch_id, q.record_number
        """,
        [rules_version],
    ).to_arrow_table()


def looked_at(connection: duckdb.DuckDBPyConnection, rules_version: str) -> int | None:
    """How many refused records these rules have looked at; None while one that waits has not been looked at."""
    ((waiting,),) = connection.execute(
        "SELECT count(*) FROM intake_waiting "
        "ANTI JOIN (FROM unread_form WHERE rules_version = ?) USING (batch_id, record_number)",
        [rules_version],
    ).fetchall()
    ((number,),) = connection.execute(
        "SELECT count(*) FROM unread_form WHERE rules_version = ?", [rules_version]
    ).fetchall()
    return None if waiting else int(number)


def write_unread(connection: duckdb.DuckDBPyConnection, forms: pa.Table) -> None:
    """Keep what refused records may say: batch_id, record_number, possible_tier, possible_red_flags, rules_version."""
    looked_at = "(batch_id, record_number) IN (SELECT (batch_id, record_number) FROM arriving)"
    execute_over(connection, forms, f"DELETE FROM unread_form WHERE {looked_at}")
    execute_over(connection, forms, "INSERT INTO unread_form BY NAME SELECT * FROM arriving")


def bound(versions: Versions) -> dict[str, str]:
    """The versions as parameters of a query that says ``BY_THESE``."""
    return {name: getattr(versions, name) for name in Versions.__dataclass_fields__}
