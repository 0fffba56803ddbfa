"""What clinicians send back, on its way in: files told apart by their header, each kept whole or not at all.

Belongs here: what ``warehouse.intake`` does for intake forms, for the files that come back from the clinic. Does not
belong here: what a row may hold (``schemas.outcomes``, ``schemas.decisions``, ``schemas.safety_concerns``), what a
row does to the published table (``published.sql``), what an outcome teaches (``models``).

Privacy: rows about patients pass through here; nothing of them is logged or put into an exception.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import resources
from typing import Literal, Protocol

import duckdb
import polars as pl

from schemas import decisions, outcomes, safety_concerns
from schemas.contract import Split, contract_version
from schemas.form import Question, answer_columns
from schemas.mapping.near import nearly_named
from schemas.problems import FileRefused
from warehouse.formats.block import Block, Source
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.sources import Batch
from warehouse.store import execute_over
from warehouse.withdrawing.withdrawn import without_withdrawn

FollowUp = Literal["outcome", "decision", "safety_concern"]
Contents = Literal["intake", FollowUp]

# Columns that no intake form has. Two of them make a file one of its kind, so that one that lacks the third is refused
# with the column's name and is not taken for a file of forms without an answer.
MARKS: dict[FollowUp, set[str]] = {
    "decision": {"decided_at", "decided_by", "decided_tier"},
    "outcome": {"recorded_at", "attended", "confirmed_condition"},
    "safety_concern": {"reported_at", "reported_by", "concern"},
}
# A concern need not name a record, but its file has to have the column: one that lost it would say nothing of anybody.
_HEADER_NEEDS: dict[FollowUp, tuple[str, ...]] = {
    "decision": ("record_id", "clinic_id", "decided_at", "decided_by"),
    "outcome": ("record_id", "clinic_id", "submitted_at", "recorded_at", "attended"),
    "safety_concern": ("record_id", "clinic_id", "reported_at", "reported_by", "concern"),
}
_OF_A_RECORD = ("clinic_id", "record_id")
_BOOLEAN_WORDS = {"true": "yes", "false": "no"}


class _Splitter(Protocol):
    def __call__(self, cells: pl.DataFrame, *, clinic: str | None, received_at: datetime) -> Split: ...


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of file: its table, the column of the time a row was made, its form and its contract.

    ``matters``: what rows speak about, as conditions over the table. Two rows of one record and time that share no
    matter do not contradict each other. ``subject``: the columns in which a row has to agree with another one to
    replace or contradict it.
    """

    table: str
    time: str
    form: tuple[Question, ...]
    split: _Splitter
    matters: tuple[str, str] = ("true", "true")
    subject: tuple[str, ...] = _OF_A_RECORD

    @property
    def columns(self) -> list[str]:
        """The form's columns in order."""
        return [question.column for question in self.form]


def contents_of(columns: Collection[str]) -> Contents:
    """What a file with these columns holds: intake forms, outcomes, decisions or safety concerns.

    A single column named like a mark may stand beside forms. Names that are nearly right count, so that a misspelt
    file of decisions is refused as what it is. Raises FileRefused (mixed_contents, naming the marks) where two marks
    of a kind stand beside a question of the intake form, or marks of several kinds beside each other: read as one kind,
    the rows of the other would be lost, or stand for forms that nobody filled in.
    """
    named = {kind: marks for kind in MARKS if (marks := _named(columns, MARKS[kind]))}
    marked = [kind for kind, marks in named.items() if len(marks) > 1]
    if len(named) > 1 or (marked and _named(columns, answer_columns())):
        raise FileRefused("mixed_contents", tuple(sorted(set().union(*named.values()))))
    return marked[0] if marked else "intake"


def load(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    batch: Batch,
    source: Source,
    contents: FollowUp,
) -> Reconciled:
    """Keep every row of such a file, inside the caller's transaction; the caller enters the counts.

    Raises FileRefused (missing_column, nearly_a_column; counts_differ where the counts do not add up).
    """
    kind = _kind(contents)
    unknown = _check_header(source.header.columns, kind, contents, clinic_known=bool(batch.clinic))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE staged_follow_up AS SELECT * FROM {kind.table} LIMIT 0")
    connection.execute("CREATE OR REPLACE TEMP TABLE staged_warning AS SELECT * FROM intake_warning LIMIT 0")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE staged_problem (record_number BIGINT, clinic_id VARCHAR, record_id VARCHAR, "
        "code VARCHAR, column_name VARCHAR, cell VARCHAR)"
    )
    connection.execute("INSERT INTO intake_raw VALUES (?, 0, ?)", [batch.batch_id, source.header.text])
    for arriving in source.blocks([column for column in kind.columns if column in source.header.columns]):
        block = without_withdrawn(connection, home, batch.batch_id, batch.clinic, source.header, arriving, None)
        _stage(connection, batch, kind, block, typed=source.header.typed)
    _keep(connection, batch, kind)
    return _counted(connection, batch.batch_id, contents, unknown)


def _kind(contents: FollowUp) -> _Kind:
    match contents:
        case "decision":
            matters = ("status IS NOT NULL", "decided_tier IS NOT NULL")
            return _Kind("decision", "decided_at", decisions.decision_form(), decisions.split_decisions, matters)
        case "outcome":
            split = partial(outcomes.split_outcomes, conditions=outcomes.nameable_conditions())
            return _Kind("outcome", "recorded_at", outcomes.outcome_form(), split)
        case "safety_concern":
            form, split_concerns = safety_concerns.safety_concern_form(), safety_concerns.split_safety_concerns
            # Only the very same row replaces one: whoever reports something else, or is somebody else, is heard too.
            return _Kind("safety_concern", "reported_at", form, split_concerns, subject=("content_hash",))


def _named(columns: Collection[str], wanted: Collection[str]) -> set[str]:
    """Those of ``wanted`` that stand among the columns or are nearly spelt there."""
    exact = set(columns) & set(wanted)
    return exact | set(nearly_named(set(columns) - exact, set(wanted) - exact))


def _check_header(columns: Collection[str], kind: _Kind, contents: FollowUp, *, clinic_known: bool) -> int:
    """How many columns the form does not have. Raises FileRefused."""
    unknown = [column for column in columns if column not in kind.columns]
    lacking = [column for column in kind.columns if column not in columns]
    if nearly := nearly_named(unknown, lacking):
        raise FileRefused("nearly_a_column", nearly)
    needed = [column for column in _HEADER_NEEDS[contents] if not (clinic_known and column == "clinic_id")]
    missing = tuple(column for column in needed if column not in columns)
    if missing:
        raise FileRefused("missing_column", missing)
    return len(unknown)


def _stage(connection: duckdb.DuckDBPyConnection, batch: Batch, kind: _Kind, block: Block, *, typed: bool) -> None:
    bound = {"batch": batch.batch_id}
    texts = pl.DataFrame({"record_number": block.numbers, "record_text": block.texts}).to_arrow()
    query = "INSERT INTO intake_raw SELECT $batch, record_number, record_text FROM arriving"
    execute_over(connection, texts, query, bound)
    number = block.numbers.gather(block.cells["row"])
    cells = _in_words(block.cells, kind) if typed else block.cells
    parts = kind.split(cells, clinic=batch.clinic or None, received_at=batch.received_at)

    def numbered(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(number.gather(frame["row"]).alias("record_number")).drop("row")

    execute_over(
        connection,
        numbered(parts.accepted).with_columns(_content(kind)).to_arrow(),
        "INSERT INTO staged_follow_up BY NAME SELECT $batch AS batch_id, record_number, $received::TIMESTAMPTZ "
        f"AS received_at, sha256(content) AS content_hash, {', '.join(kind.columns)} FROM arriving",
        bound | {"received": batch.received_at},
    )
    keys = pl.concat([parts.accepted, parts.refused], how="diagonal").select("row", "clinic_id", "record_id")
    execute_over(
        connection,
        numbered(parts.warnings.join(keys, on="row", maintain_order="left")).to_arrow(),
        'INSERT INTO staged_warning SELECT $batch, record_number, clinic_id, record_id, code, "column" FROM arriving',
        bound,
    )
    refused = numbered(parts.rejections.join(keys, on="row", maintain_order="left"))
    broken = block.broken.select(block.numbers.gather(block.broken["row"]).alias("record_number"), "code")
    problems = pl.concat([refused, broken], how="diagonal").select(
        "record_number", "clinic_id", "record_id", "code", "column", "cell"
    )
    execute_over(connection, problems.to_arrow(), "INSERT INTO staged_problem SELECT * FROM arriving")


def _in_words(cells: pl.DataFrame, kind: _Kind) -> pl.DataFrame:
    """The true and false of a format that has them as yes and no, in columns that ask for these."""
    asked = [q.column for q in kind.form if {"yes", "no"} <= set(q.choices) and q.column in cells.columns]
    return cells.with_columns(pl.col(column).replace(_BOOLEAN_WORDS) for column in asked)


def _content(kind: _Kind) -> pl.Expr:
    """All that a row says as one text: equal for two rows exactly when they say the same."""
    said = [
        pl.lit(f"{q.column}=")
        + (
            pl.col(q.column).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")
            if q.type == "timestamp"
            else pl.col(q.column).cast(pl.String)
        )
        for q in kind.form
    ]
    return pl.concat_str(said, separator="\x1f", ignore_nulls=True).alias("content")


def _keep(connection: duckdb.DuckDBPyConnection, batch: Batch, kind: _Kind) -> None:
    sql = resources.files("warehouse").joinpath("follow_up.sql").read_text("utf-8")
    first, second = kind.matters
    named = {"{table}": kind.table, "{time}": kind.time, "{first}": first, "{second}": second}
    named |= {"{subject}": ", ".join(kind.subject)}
    for name, value in named.items():
        sql = sql.replace(name, value)
    connection.execute(sql)
    kept = "SELECT record_number FROM decided_row WHERE disposition IN ('accepted', 'superseded')"
    bound = {"batch": batch.batch_id}
    connection.execute(
        "INSERT INTO staged_problem SELECT record_number, clinic_id, record_id, disposition, NULL, NULL "
        "FROM staged_follow_up JOIN decided_row USING (record_number) WHERE disposition = 'conflicting_version'"
    )
    connection.execute(f"INSERT INTO {kind.table} SELECT * FROM staged_follow_up WHERE record_number IN ({kept})")
    connection.execute(f"INSERT INTO intake_warning SELECT * FROM staged_warning WHERE record_number IN ({kept})")
    connection.execute(
        "INSERT INTO intake_warning SELECT $batch, record_number, clinic_id, record_id, code, NULL FROM odd_row "
        f"WHERE record_number IN ({kept})",
        bound,
    )
    connection.execute(
        """
        INSERT INTO intake_disposition
        SELECT $batch, record_number, disposition FROM decided_row WHERE disposition <> 'conflicting_version'
        UNION ALL SELECT DISTINCT $batch, record_number, 'quarantined' FROM staged_problem
        """,
        bound,
    )
    connection.execute(
        """
        INSERT INTO intake_quarantine
        SELECT $batch, record_number, any_value(clinic_id), any_value(record_id), $received, $contract,
               list(struct_pack(code, column_name, cell) ORDER BY column_name, code)
        FROM staged_problem GROUP BY record_number
        """,
        bound | {"received": batch.received_at, "contract": contract_version()},
    )
    for table in ("staged_follow_up", "staged_warning", "staged_problem", "decided_row", "odd_row"):
        connection.execute(f"DROP TABLE {table}")


def _counted(
    connection: duckdb.DuckDBPyConnection, batch_id: str, contents: FollowUp, unknown_columns: int
) -> Reconciled:
    ((*counts, withdrawn),) = connection.execute(
        """
        SELECT (SELECT count(*) FROM intake_raw WHERE batch_id = $batch AND record_number > 0),
               count(*) FILTER (disposition = 'accepted'), count(*) FILTER (disposition = 'quarantined'),
               count(*) FILTER (disposition = 'duplicate'), count(*) FILTER (disposition = 'superseded'),
               (SELECT count(DISTINCT record_number) FROM intake_warning WHERE batch_id = $batch),
               (SELECT count(*) FROM intake_quarantine WHERE batch_id = $batch AND problems[1].code = 'withdrawn')
        FROM intake_disposition WHERE batch_id = $batch
        """,
        {"batch": batch_id},
    ).fetchall()
    counted = Reconciled(batch_id, *counts, unknown_columns, contents=contents, withdrawn=withdrawn)
    if not counted.balanced:
        raise FileRefused("counts_differ")
    return counted
