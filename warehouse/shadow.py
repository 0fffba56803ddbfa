"""The shadow in the warehouse: which model or knowledge scores beside what is in force, and its scores.

Belongs here: runs of a shadow, their files of knowledge, their scores, and the tiers that these would publish beside
those that are published. Does not belong here: scoring (``models.referral``), what may run in shadow
(``pipelines.changes.shadow``).

One run at a time. Its start and its end are entered in the audit in the same transaction. Its scores lie in a table of
their own that nothing publishes; they go when the run ends, and how many there were stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from warehouse import audit, preview, scores
from warehouse.home import Home
from warehouse.preview import TierChanges
from warehouse.scores import SHADOW, Versions
from warehouse.store import execute_over, opened

File = tuple[str, bytes]  # path below the knowledge folder, content
_COLUMNS = (*preview.COLUMNS, "priority_score", "needs_review")
_SCORED = "SELECT count(DISTINCT (clinic_id, record_id)) FROM shadow_score"


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """One run of a shadow; ``number`` counts from 1.

    ``model_version``: None where it scores by the model in force. ``files``: knowledge in place of the release's own.
    ``records``: how many it has scored; ``ended_at``: None while it runs.
    """

    number: int
    started_at: datetime
    by: str
    reason: str
    model_version: str | None
    files: tuple[File, ...]
    records: int
    ended_at: datetime | None

    @property
    def subject(self) -> str:
        """What runs in shadow, in a few words: the model's version, the changed files, or both."""
        model = [f"model {self.model_version}"] if self.model_version else []
        return " and ".join([*model, *([", ".join(name for name, _ in self.files)] if self.files else [])])


@dataclass(frozen=True, slots=True)
class ShadowComparison:
    """What publishing by the shadow would change. ``unscored``: current records that it has not scored yet."""

    changes: TierChanges
    unscored: int


def start(home: Home, model_version: str | None, files: Sequence[File], *, by: str, reason: str) -> ShadowRun:
    """Begin a run, and enter that in the audit. The caller has seen to it that none runs. Raises as ``opened`` does."""
    with opened(home, "start a shadow") as connection:
        ((last,),) = connection.execute("SELECT coalesce(max(run_number), 0) FROM shadow_run").fetchall()
        run = ShadowRun(int(last) + 1, datetime.now(UTC), by, reason, model_version, tuple(files), 0, None)
        connection.execute(
            "INSERT INTO shadow_run VALUES (?, ?, ?, ?, ?)", [run.number, run.started_at, by, reason, model_version]
        )
        for path, content in files:
            connection.execute("INSERT INTO shadow_file VALUES (?, ?, ?)", [run.number, path, content])
        versions = {"model": model_version} if model_version else {}
        _audit(connection, run, by, f"start: {reason}", versions, {"files": len(files)})
    return run


def stop(home: Home, run: ShadowRun, *, by: str, reason: str) -> int:
    """End ``run``: its scores go, and how many records it had scored is kept and given. Raises as ``opened`` does."""
    with opened(home, "stop a shadow") as connection:
        ((records,),) = connection.execute(_SCORED).fetchall()
        connection.execute(
            "INSERT INTO shadow_run_ended VALUES (?, ?, ?, ?, ?)",
            [run.number, datetime.now(UTC), by, reason, int(records)],
        )
        connection.execute("DELETE FROM shadow_score")
        _audit(connection, run, by, f"stop: {reason}", {}, {"records": int(records)})
    return int(records)


def _audit(
    connection: duckdb.DuckDBPyConnection,
    run: ShadowRun,
    by: str,
    reason: str,
    versions: dict[str, str],
    counts: dict[str, int],
) -> None:
    audit.enter(
        connection, "shadow", subject=f"shadow {run.number}", by=by, reason=reason, versions=versions, counts=counts
    )


def running(home: Home) -> ShadowRun | None:
    """The run that has not ended, or None. Raises as ``opened`` does."""
    return next((run for run in history(home) if run.ended_at is None), None)


def history(home: Home) -> list[ShadowRun]:
    """Every run, newest first. Raises as ``opened`` does."""
    if not home.warehouse.exists():
        return []
    with opened(home, "look at shadows") as connection:
        return list(_runs(connection))


def _runs(connection: duckdb.DuckDBPyConnection) -> Iterator[ShadowRun]:
    rows = connection.execute(
        "SELECT run_number, started_at, r.by_name, r.reason, model_version, e.ended_at, "
        f"coalesce(e.records, ({_SCORED})) FROM shadow_run r LEFT JOIN shadow_run_ended e USING (run_number) "
        "ORDER BY run_number DESC"
    ).fetchall()
    for number, started, by, reason, model, ended, records in rows:
        files = connection.execute(
            "SELECT path, content FROM shadow_file WHERE run_number = ? ORDER BY path", [number]
        ).fetchall()
        yield ShadowRun(number, started, by, reason, model, tuple(files), int(records), ended)


def runs(connection: duckdb.DuckDBPyConnection, number: int) -> bool:
    """Whether run ``number`` has not ended."""
    return connection.execute("SELECT 1 FROM shadow_run_ended WHERE run_number = ?", [number]).fetchone() is None


def write(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    """Keep of scores (of ``schemas.referral.scored_schema``) what a comparison needs, and no more of a record."""
    names = ", ".join(_COLUMNS)
    execute_over(connection, rows.select(_COLUMNS), f"INSERT INTO shadow_score ({names}) SELECT {names} FROM arriving")


def compare(home: Home, in_force: Versions, shadow: Versions) -> ShadowComparison:
    """The tiers that the shadow's scores would publish beside those of the versions in force, through the same SQL.

    Changes come most worrying first: those who would be seen later by most tiers. Raises as ``opened`` does.
    """
    with opened(home, "compare a shadow") as connection:
        waiting = scores.count_unscored(connection, shadow, SHADOW)
        held = connection.execute(
            f"SELECT {', '.join(preview.COLUMNS)} FROM shadow_score WHERE {scores.BY_THESE}", scores.bound(shadow)
        ).to_arrow_table()
        changes = preview.compared(connection, (in_force, shadow), ([], [held]), home.settings())
    return ShadowComparison(changes, waiting)
