"""The files of a snapshot: a DuckDB and a Parquet file for each clinic, and the group file of suppressed counts.

Belongs here: writing the assembled tables out. Does not belong here: assembling them (``warehouse.publication``),
folders and pointer (``warehouse.snapshots``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.form import form
from schemas.tiers import tiers
from warehouse.publication import Publication, PublishedAdvice, PublishedCondition, PublishedRule, quoted
from warehouse.snapshot_reading import TABLES, worklist_view

STREAMED = {
    "referrals": "published_referrals",
    "unread_forms": "published_unread",
    "referral_history": "published_history",
    "lineage": "published_lineage",
    "decisions": "published_decisions",
    "outcomes": "published_outcomes",
    "safety_concerns": "published_safety_concerns",
    "unread_follow_up": "published_unread_follow_up",
    "refused_files": "published_refused_files",
}
# Their rows say when they came in; what referrals and their scores rest on stands in lineage.
_RECEIVED = [table for table in STREAMED if table not in ("referrals", "referral_history")]
ROW_GROUP = 20_480  # small groups keep the wide nested rows of a million records inside the memory limit


def write_clinic(cursor: duckdb.DuckDBPyConnection, clinic: str, folder: Path, about: Publication) -> dict[str, int]:
    """Write ``<clinic>.duckdb`` and ``<clinic>.parquet`` into ``folder``; gives the rows of each table.

    ``cursor``: that of ``assembling``, after ``assemble``. Rows go from file to file inside DuckDB.
    """
    file = folder / f"{clinic}.duckdb"
    cursor.execute(f"ATTACH {quoted(file)} AS clinic_file (ROW_GROUP_SIZE {ROW_GROUP})")
    for table, view in STREAMED.items():
        cursor.execute(f"CREATE TABLE clinic_file.{table} AS SELECT * FROM {view} WHERE clinic_id = ?", [clinic])
    cursor.execute(
        f"COPY clinic_file.referrals TO {quoted(folder / f'{clinic}.parquet')} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
    )
    cursor.execute("DETACH clinic_file")
    # Opened by itself, so that the view names no other database than its own.
    target = duckdb.connect(file)
    try:
        target.execute("SET TimeZone = 'UTC'")
        _create(target, "conditions", _known(PublishedCondition, about.conditions))
        _create(target, "rules", _known(PublishedRule, about.rules))
        _create(target, "advice", _known(PublishedAdvice, about.advice))
        _create(target, "form", _form())
        _create(target, "publication", _publication(target, clinic, about))
        target.execute(worklist_view())
        counts = {table: _count(target, table) for table in TABLES}
        target.execute("CHECKPOINT")
    finally:
        target.close()
    return counts


def write_group(folder: Path, files: Sequence[Path]) -> Path:
    """Write the group file: how many referrals a clinic has in each tier, small counts suppressed.

    Columns: clinic_id, effective_tier, referrals (nearest 5; null where 7 or fewer, none included), suppressed. The
    rule is the disclosure control of ehrQL. ``files``: the clinics' Parquet files of the same snapshot.
    """
    group = folder / "_group.parquet"
    connection = duckdb.connect(":memory:")
    try:
        clinics = pa.table({"clinic_id": [file.stem for file in files]}, pa.schema([("clinic_id", pa.string())]))
        order = pa.table({"effective_tier": list(tiers()), "rank": list(range(len(tiers())))})
        connection.register("clinic", clinics)
        connection.register("tier_order", order)
        paths = [str(file) for file in files]
        counted = (
            f"SELECT clinic_id, effective_tier, count(*) AS n FROM read_parquet([{', '.join(map(quoted, paths))}]) "
            "GROUP BY ALL"
            if paths
            else "SELECT '' AS clinic_id, '' AS effective_tier, 0 AS n LIMIT 0"
        )
        connection.execute(
            f"""
            COPY (
                SELECT clinic_id, effective_tier,
                       CASE WHEN n > 7 THEN (5 * round(n / 5.0))::BIGINT END AS referrals,
                       coalesce(n, 0) <= 7 AS suppressed
                FROM clinic CROSS JOIN tier_order LEFT JOIN ({counted}) USING (clinic_id, effective_tier)
                ORDER BY clinic_id, rank
            ) TO {quoted(group)} (FORMAT parquet)
            """
        )
    finally:
        connection.close()
    return group


def tier_counts(files: Sequence[Path]) -> dict[str, int]:
    """How many referrals there are of each computed tier in the clinics' Parquet files."""
    counts = dict.fromkeys(tiers(), 0)
    if files:
        connection = duckdb.connect(":memory:")
        try:
            listed = ", ".join(map(quoted, files))
            found = connection.execute(f"SELECT tier, count(*) FROM read_parquet([{listed}]) GROUP BY tier").fetchall()
        finally:
            connection.close()
        counts |= dict(found)
    return counts


def unread_counts(file: Path) -> dict[str, int]:
    """From a clinic's DuckDB file: forms that could not be read, how many hold an emergency answer, and whole files."""
    connection = duckdb.connect(file, read_only=True)
    try:
        row = connection.execute(
            "SELECT count(*), count(*) FILTER (possible_tier = 'emergency'), (SELECT count(*) FROM refused_files) "
            "FROM unread_forms"
        ).fetchone()
    finally:
        connection.close()
    unread, emergency, files = row or (0, 0, 0)
    return {"unread": unread, "unread_emergency": emergency, "refused_files": files}


def _create(target: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    target.register("arriving", rows)
    target.execute(f"CREATE TABLE {table} AS SELECT * FROM arriving")
    target.unregister("arriving")


def _known(kind: type, rows: Sequence[PublishedCondition | PublishedRule | PublishedAdvice]) -> pa.Table:
    """Rows of knowledge, all of ``kind``; its columns where there are none."""
    types: Mapping[str, pa.DataType] = {"dangerous": pa.bool_(), "clock_hours": pa.float64()}
    schema = pa.schema([(field.name, types.get(field.name, pa.string())) for field in fields(kind)])
    return pa.Table.from_pylist([asdict(row) for row in rows], schema)


def _form() -> pa.Table:
    """The form as the contract states it, so that a reader of a snapshot knows what each answer may be."""
    columns = ("column", "group", "question", "type", "allowed", "sensitivity")
    return pa.table({name: [str(getattr(question, name)) for question in form()] for name in columns})


def _publication(target: duckdb.DuckDBPyConnection, clinic: str, about: Publication) -> pa.Table:
    """One row: the versions and the time of the newest thing in the file.

    When it was published stands in the manifest, because a file that did not change is linked into later snapshots.
    """
    newest = target.execute(
        "SELECT max(moment) FROM (SELECT max(scored_at) AS moment FROM referral_history"
        + "".join(f" UNION ALL SELECT max(received_at) FROM {table}" for table in _RECEIVED)
        + ")"
    ).fetchone()
    said = {"clinic_id": clinic} | about.versions
    said |= {"evidence_basis": about.evidence_basis, "training": about.training}
    columns = {name: pa.array([value], pa.string()) for name, value in said.items()}
    columns["banner"] = pa.array([about.banner], pa.string())
    columns["content_at"] = pa.array([newest[0] if newest else None], pa.timestamp("us", tz="UTC"))
    return pa.table(columns)


def _count(target: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(target.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
