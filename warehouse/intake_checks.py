"""Checks on loaded batches: the contract read back, and counts of problems.

Belongs here: reading what ``warehouse.intake`` wrote, in counts; never a value.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.contract import contract_breaks
from schemas.records import record_schema
from warehouse.home import Home
from warehouse.store import opened

RECORDS_AT_ONCE = 50_000


def contract_failures(home: Home, batch_ids: Sequence[str]) -> int:
    """How many cells of stored records of these batches break the contract, read back from the warehouse."""
    broken = 0
    columns = ", ".join(f'"{name}"' for name in record_schema().names)
    with opened(home, "read a batch back") as connection:
        reader = connection.execute(
            f"SELECT {columns} FROM intake_valid WHERE batch_id IN (SELECT unnest(?))", [list(batch_ids)]
        ).to_arrow_reader(RECORDS_AT_ONCE)
        for part in reader:
            broken += contract_breaks(pl.DataFrame(pl.from_arrow(part)))
    return broken


def problem_counts(home: Home, batch_ids: Sequence[str]) -> dict[str, int]:
    """Number of refused records by code, and of files refused whole, over these batches."""
    with opened(home, "count problems") as connection:
        rows = connection.execute(
            """
            SELECT code, count(DISTINCT (batch_id, record_number))
            FROM (SELECT batch_id, record_number, unnest(problems).code AS code FROM intake_quarantine
                  WHERE batch_id IN (SELECT unnest($batches)))
            GROUP BY code
            UNION ALL
            SELECT refusal, count(*) FROM intake_ledger
            WHERE refusal IS NOT NULL AND batch_id IN (SELECT unnest($batches)) GROUP BY refusal
            ORDER BY 1
            """,
            {"batches": list(batch_ids)},
        ).fetchall()
    return dict(rows)
