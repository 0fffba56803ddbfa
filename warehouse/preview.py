"""What the published table would say under another model: tiers before and after, nothing written.

Belongs here: scores that live as long as the question, and the published tiers that follow from them. Does not belong
here: the scoring itself (a function of the caller's), what counts as too much change (``models.gates``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import duckdb
import pyarrow as pa

from schemas.tiers import tiers
from warehouse import publication, scores
from warehouse.home import Home
from warehouse.publication import Publication
from warehouse.scores import Versions
from warehouse.settings import Settings
from warehouse.store import opened

# All that the published tier and clock of a record follow from; a stored score has many more columns.
COLUMNS = ["clinic_id", "record_id", "submitted_at", "scored_at", "tier", "clock_hours", "intake_hash"]
COLUMNS += list(Versions.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Scorer:
    """The versions that would be in force, and the function that scores a batch of records by them.

    ``score`` takes records and what the rules may use of them, as ``scores.next_unscored`` gives them, and gives rows
    of the shape ``schemas.referral.scored_schema``.
    """

    versions: Versions
    score: Callable[[pa.Table, pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class TierChange:
    """A record of the published table whose tier would be another."""

    clinic_id: str
    record_id: str
    before: str
    after: str

    @property
    def sooner(self) -> bool:
        """Whether the record would be seen sooner."""
        return tiers()[self.after].rank < tiers()[self.before].rank


@dataclass(frozen=True, slots=True)
class TierChanges:
    """How many records the published table has, and those whose tier would change: least urgent after first."""

    records: int
    changed: tuple[TierChange, ...]


def tier_changes(home: Home, before: Scorer, after: Scorer) -> TierChanges:
    """Which records of the table would have another tier by ``after`` than by ``before``.

    Looks at the current version of every record, through the same SQL that publishes (``published.sql``), so that what
    a record's history adds is in both. Scores that the warehouse holds are used; others are worked out and forgotten.
    Raises WarehouseBusy, WarehouseRefused.
    """
    with opened(home, "preview a model") as connection:
        fresh = [
            [
                scorer.score(records, for_rules).select(COLUMNS)
                for records, for_rules in scores.next_unscored(connection, scorer.versions)
            ]
            for scorer in (before, after)
        ]
        return compared(connection, (before.versions, after.versions), fresh, home.settings())


def compared(
    connection: duckdb.DuckDBPyConnection,
    versions: tuple[Versions, Versions],
    fresh: Sequence[list[pa.Table]],
    settings: Settings,
) -> TierChanges:
    """The published tiers by the first versions beside those by the second, on an open warehouse.

    ``fresh``: for each of the two, scores that the warehouse's own are to be joined by, with at least ``COLUMNS``.
    """
    for name, those, batches in zip(("tier_before", "tier_after"), versions, fresh, strict=True):
        _published_tiers(connection, name, those, batches, settings)
    rows = connection.execute(
        "SELECT b.clinic_id, b.record_id, b.tier, a.tier FROM tier_before b "
        "JOIN tier_after a USING (clinic_id, record_id) WHERE a.tier <> b.tier "
        "ORDER BY (SELECT rank FROM tier_order WHERE id = a.tier) "
        "- (SELECT rank FROM tier_order WHERE id = b.tier) DESC, clinic_id, record_id"
    ).fetchall()
    ((records,),) = connection.execute("SELECT count(*) FROM tier_after").fetchall()
    return TierChanges(int(records), tuple(TierChange(*row) for row in rows))


def _published_tiers(
    connection: duckdb.DuckDBPyConnection, name: str, versions: Versions, fresh: list[pa.Table], settings: Settings
) -> None:
    """Leave clinic_id, record_id and published tier in the temporary table ``name``.

    A temporary table stands before the warehouse's own of the same name, so the SQL that publishes reads the stored
    scores and the fresh ones together, and nothing of it stays.
    """
    connection.execute(f"CREATE TEMP TABLE scores_for_now AS SELECT {', '.join(COLUMNS)} FROM referral_score")
    for batch in fresh:
        connection.register("arriving", batch)
        connection.execute(f"INSERT INTO scores_for_now SELECT {', '.join(COLUMNS)} FROM arriving")
        connection.unregister("arriving")
    connection.execute("CREATE TEMP TABLE empty_score AS SELECT * FROM referral_score LIMIT 0")
    connection.execute("CREATE TEMP TABLE temp.referral_score AS SELECT * FROM empty_score")
    connection.execute("INSERT INTO temp.referral_score BY NAME SELECT * FROM scores_for_now")
    # without words for patients: only tiers are asked for
    about = Publication(code_version="", evidence_basis="", training="", **asdict(versions))
    clinics = publication.clinic_contents(connection, settings, about)
    publication.assemble(connection, list(clinics), settings, about)
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT clinic_id, record_id, tier FROM record_clock")
    connection.execute("DROP TABLE temp.referral_score")
    connection.execute("DROP TABLE empty_score")
    connection.execute("DROP TABLE scores_for_now")
