"""Counts of the warehouse for monitoring: arrivals, answers, tiers, refusals, confirmed outcomes.

Belongs here: counting (``monitoring.sql``). Does not belong here: what the counts mean and the hiding of small ones
(``models.monitoring``), what changed between two snapshots (``warehouse.snapshot_changes``). Counts leave this module
as they are: whoever shows them to anybody suppresses small ones first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources

import duckdb

from schemas.form import FREE_TEXT_COLUMN, Question, form
from warehouse.home import Home
from warehouse.store import opened

BLANK = "blank"
_KEYS = ("text", "timestamp")


@dataclass(frozen=True, slots=True)
class Windows:
    """Two windows by time of arrival (UTC): reference from ``begins`` up to ``changes``, recent up to ``ends``."""

    begins: datetime
    changes: datetime
    ends: datetime

    @classmethod
    def before(cls, now: datetime, *, recent_days: int, reference_days: int) -> Windows:
        """The windows that end ``now``."""
        changes = now - timedelta(days=recent_days)
        return cls(changes - timedelta(days=reference_days), changes, now)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came in from a clinic on one day (UTC): files with intake forms, and forms in them, read or refused."""

    clinic_id: str
    day: date
    files: int
    forms: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How the answers to a question, or the tiers, of one clinic are spread over categories in the two windows."""

    clinic_id: str
    subject: str
    reference: Mapping[str, int]
    recent: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ConfirmedOutcome:
    """A record whose condition was confirmed, and the score it had when that came in.

    ``received_at``: when the outcome came in, ``known_at``: when the first word on the record did (UTC); a model that
    learnt after that has seen it. ``differential``: probability by condition. No key of the record.
    """

    received_at: datetime
    known_at: datetime
    condition: str
    tier: str
    differential: Mapping[str, float]
    model_version: str
    data_kind: str
    is_child: bool


@contextmanager
def monitored(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse with the views of ``monitoring.sql``; every count of one look comes from the same state.

    Raises WarehouseBusy, WarehouseRefused.
    """
    with opened(home, "count for monitoring") as connection:
        connection.execute(resources.files("warehouse").joinpath("monitoring.sql").read_text("utf-8"))
        yield connection


def arrivals(connection: duckdb.DuckDBPyConnection) -> list[Arrivals]:
    """By clinic and day, oldest first; a day without any arrival is left out."""
    rows = connection.execute(
        """
        SELECT a.clinic_id, a.day, a.files, coalesce(f.forms, 0)
        FROM (SELECT clinic_id, received_at::DATE AS day, count(DISTINCT batch_id) AS files
              FROM monitored_arrival GROUP BY ALL) a
        LEFT JOIN (SELECT clinic_id, received_at::DATE AS day, count(*) AS forms FROM monitored_form GROUP BY ALL) f
               USING (clinic_id, day)
        ORDER BY a.clinic_id, a.day
        """
    ).fetchall()
    return [Arrivals(*row) for row in rows]


def answer_spreads(
    connection: duckdb.DuckDBPyConnection, windows: Windows, cuts: Mapping[str, Sequence[float]], *, least_records: int
) -> list[Spread]:
    """How every question was answered, blank as a category of its own; by clinic, in the form's order.

    Only of clinics with at least ``least_records`` (1 or more) forms in each window: of the others nothing could be
    said. ``cuts``: for a number, where its classes begin; a number without any is counted as stated or blank. Questions
    of sensitivity ``sensitive``, keys, times and free text are left out: they stand in no aggregate.
    """
    asked = [q for q in form() if q.sensitivity != "sensitive" and q.type not in _KEYS and q.column != FREE_TEXT_COLUMN]
    counted = ", ".join(f"histogram({_category(q, cuts.get(q.column, ()))})" for q in asked)
    enough = connection.execute(
        "SELECT clinic_id FROM intake_shown WHERE received_at >= $begins AND received_at < $ends GROUP BY clinic_id "
        "HAVING least(count(*) FILTER (received_at < $changes), count(*) FILTER (received_at >= $changes)) >= $least",
        _bound(windows) | {"least": least_records},
    ).fetchall()
    if not enough:
        return []
    rows = connection.execute(
        f"SELECT clinic_id, received_at >= $changes AS is_recent, count(*), {counted} FROM intake_shown "
        "WHERE received_at >= $begins AND received_at < $ends AND list_contains($clinics, clinic_id) GROUP BY ALL",
        _bound(windows) | {"clinics": [clinic for (clinic,) in enough]},
    ).fetchall()
    sides = {
        (clinic, recent, question.column): _side(records, stated)
        for clinic, recent, records, *counts in rows
        for question, stated in zip(asked, counts, strict=True)
    }
    return [
        Spread(clinic, q.column, sides[clinic, False, q.column], sides[clinic, True, q.column])
        for clinic in sorted(clinic for (clinic,) in enough)
        for q in asked
    ]


def tier_spreads(connection: duckdb.DuckDBPyConnection, windows: Windows) -> list[Spread]:
    """The tiers that forms of each clinic came to first, by clinic."""
    rows = connection.execute(
        "SELECT clinic_id, received_at >= $changes, tier, count(*) FROM monitored_tier "
        "WHERE received_at >= $begins AND received_at < $ends GROUP BY ALL ORDER BY ALL",
        _bound(windows),
    ).fetchall()
    sides: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    for clinic, recent, tier, n in rows:
        sides.setdefault(clinic, ({}, {}))[bool(recent)][tier] = n
    return [Spread(clinic, "tier", reference, recent) for clinic, (reference, recent) in sides.items()]


def tiers_by_week(connection: duckdb.DuckDBPyConnection, since: datetime) -> dict[str, dict[date, dict[str, int]]]:
    """By clinic, week of arrival (its Monday, UTC) and tier: how many forms came to it first."""
    rows = connection.execute(
        "SELECT clinic_id, date_trunc('week', received_at)::DATE AS week, tier, count(*) FROM monitored_tier "
        "WHERE received_at >= ? GROUP BY ALL ORDER BY ALL",
        [since],
    ).fetchall()
    found: dict[str, dict[date, dict[str, int]]] = {}
    for clinic, week, tier, n in rows:
        found.setdefault(clinic, {}).setdefault(week, {})[tier] = n
    return found


def refusals(connection: duckdb.DuckDBPyConnection, since: datetime) -> dict[str, dict[str, int]]:
    """By clinic and error code, forms refused since then; a form counts once for each of its codes."""
    rows = connection.execute(
        "SELECT clinic_id, code, count(*) "
        "FROM (SELECT clinic_id, unnest(codes) AS code FROM monitored_refusal WHERE received_at >= ?) "
        "GROUP BY ALL ORDER BY ALL",
        [since],
    ).fetchall()
    found: dict[str, dict[str, int]] = {}
    for clinic, code, n in rows:
        found.setdefault(clinic, {})[code] = n
    return found


def confirmed_outcomes(connection: duckdb.DuckDBPyConnection, since: datetime) -> list[ConfirmedOutcome]:
    """Every record with a condition confirmed by an outcome that came in since then, with the score it had."""
    rows = connection.execute(
        "SELECT received_at, known_at, confirmed_condition, tier, differential, model_version, data_kind, is_child "
        "FROM monitored_outcome WHERE received_at >= ?",
        [since],
    ).fetchall()
    return [
        ConfirmedOutcome(
            received_at=received_at.astimezone(UTC),
            known_at=known_at.astimezone(UTC),
            condition=condition,
            tier=tier,
            differential={entry["condition"]: entry["probability"] for entry in differential or []},
            model_version=model_version,
            data_kind=data_kind,
            is_child=is_child,
        )
        for received_at, known_at, condition, tier, differential, model_version, data_kind, is_child in rows
    ]


def _category(question: Question, cuts: Sequence[float]) -> str:
    """SQL of the category of an answer, null where it is blank."""
    column = f'"{question.column}"'
    if question.type == "yesno":
        return f"CASE WHEN {column} THEN 'yes' WHEN NOT {column} THEN 'no' END"
    if question.type == "choice":
        return column
    above = " + ".join(f"({column} >= {float(cut)!r})::INTEGER" for cut in cuts) or f"({column} IS NULL)::INTEGER"
    return f"if({column} IS NULL, NULL, {above})"


def _side(records: int, stated: Mapping[object, int] | None) -> dict[str, int]:
    found = {str(category): int(n) for category, n in (stated or {}).items()}
    return found | {BLANK: records - sum(found.values())}


def _bound(windows: Windows) -> dict[str, object]:
    return {"begins": windows.begins, "changes": windows.changes, "ends": windows.ends}
