"""The six referral tiers, read from ``tiers.csv``: order, clock, FHIR priority and the band of the priority score.

Belongs here: what a tier is. Does not belong here: which record gets which tier (``models``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from schemas.package_rows import read_rows


@dataclass(frozen=True, slots=True)
class Tier:
    """One referral tier. ``rank`` 0 is the most urgent; ``see_by_hours`` counts from the record's clock start."""

    id: str
    rank: int
    see_by_hours: int
    see_by_words: str
    fhir_priority: str
    score_from: float
    source: str


@cache
def tiers() -> dict[str, Tier]:
    """The tiers by id, most urgent first."""
    return {
        row["tier"]: Tier(
            id=row["tier"],
            rank=rank,
            see_by_hours=int(row["see_by_hours"]),
            see_by_words=row["see_by_words"],
            fhir_priority=row["fhir_priority"],
            score_from=float(row["score_from"]),
            source=row["source"],
        )
        for rank, row in enumerate(read_rows("tiers.csv"))
    }
