"""The publish gate: what a snapshot has to show before it becomes the current one.

Belongs here: what a gate finding is, and the findings on the files of a clinic that nobody can override: columns,
records, rules. Does not belong here: how tiers compare with those of the table before (``warehouse.tier_gate``), the
written limits (``models/knowledge/publish_limits.yaml``), the order of publication (``warehouse.snapshots``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from schemas.referral import referral_schema
from schemas.snapshot_tables import GROUP, REFERRALS, group_columns, published_columns
from warehouse.publication import Publication, quoted
from warehouse.store import WarehouseRefused, column_list

State = Literal["passed", "held", "overridden"]
LONGEST = 500
_TELL_MAKERS = "this is a fault of the program: keep the snapshot that is current and tell its makers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the gate looked at: ``found`` and ``limit`` are plain clauses with counts, ``next_step`` a sentence or ''.

    ``held`` on columns, records or rules stops the publication; on tiers it leaves records the tier that they had.
    """

    name: str
    state: State
    found: str
    limit: str
    next_step: str = ""


class PublicationHeld(WarehouseRefused):
    """Nothing was published; ``findings`` say why, and the message is one plain sentence of them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        held = [finding for finding in self.findings if finding.state == "held"]
        said = "; ".join(f"{finding.name}: {finding.found} (limit: {finding.limit})" for finding in held)
        super().__init__(f"the publish gate holds the new snapshot back, the one before stays current: {said}")


@dataclass(frozen=True, slots=True)
class Override:
    """Who lets lowered tiers be published, and why. Made by ``agreed``."""

    by: str
    reason: str


def agreed(*, by: str, reason: str) -> Override:
    """An override by name and reason. Raises WarehouseRefused where either is no readable line."""
    for said in (by, reason):
        if not said.strip() or not said.isprintable() or len(said) > LONGEST:
            raise WarehouseRefused(
                f"an override takes a name and a reason, each one line of 1 to {LONGEST} readable signs; nothing was "
                "published"
            )
    return Override(by.strip(), reason.strip())


def findings_on_files(
    cursor: duckdb.DuckDBPyConnection, clinics: Collection[str], group: Path, about: Publication
) -> list[Finding]:
    """Columns, records and rules of the files that were written for ``clinics``, beside the group file ``group``.

    ``cursor``: that of ``publication.assembling``, after ``assemble``. Raises PublicationHeld where one is not as it
    has to be: no override lets that pass.
    """
    folder = group.parent
    findings = [
        _columns(cursor, [folder / f"{clinic}.duckdb" for clinic in clinics], group),
        _records(cursor, {clinic: folder / f"{clinic}.parquet" for clinic in clinics}, about),
        _rules(cursor, [folder / f"{clinic}.parquet" for clinic in clinics], about),
    ]
    if any(finding.state == "held" for finding in findings):
        raise PublicationHeld(findings)
    return findings


def _columns(cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], group: Path) -> Finding:
    """Every table, view and Parquet file has listed columns only, and those of ``referrals`` have their types."""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE listed_referral ({column_list(referral_schema())})")
    types = dict(_described(cursor, "listed_referral"))
    allowed = published_columns()
    strange: set[str] = set()
    for file in files:
        found = [*_columns_of(file)]
        found += [(REFERRALS, *column) for column in _described(cursor, quoted(file.with_suffix(".parquet")))]
        for table, column, kind in found:
            if column not in allowed.get(table, ()) or (table == REFERRALS and kind != types[column]):
                strange.add(f"{table}.{column}")
    strange |= {f"{GROUP}.{column}" for column, _ in _described(cursor, quoted(group)) if column not in group_columns()}
    return _finding(
        "columns",
        f"{len(strange)} columns that are not listed" + (f" ({', '.join(sorted(strange))})" if strange else ""),
        "those that schemas/snapshot_tables.py lists, and no other",
        held=bool(strange),
    )


def _records(cursor: duckdb.DuckDBPyConnection, files: Mapping[str, Path], about: Publication) -> Finding:
    """Every record that may be shown has one row, in its current version, scored by the versions in force.

    A row that keeps the tier of the table before (``warehouse.tier_gate``) keeps that score.
    """
    wrong = {"missing": 0, "more than once": 0, "of no record": 0, "not the current version": 0, "not scored anew": 0}
    rows = 0
    for clinic, file in files.items():
        ((held, *counts),) = cursor.execute(
            f"""
            WITH held AS (
                SELECT clinic_id, record_id, arg_max(intake_hash, submitted_at) AS intake_hash
                FROM intake_shown WHERE clinic_id = $clinic GROUP BY ALL
            ),
            shown AS (
                SELECT p.clinic_id, p.record_id, any_value(p.intake_hash) AS intake_hash, count(*) AS times,
                       bool_and(k.record_id IS NOT NULL OR (p.model_version, p.catalogue_version, p.rules_version,
                                p.contract_version) = ($model, $catalogue, $rules, $contract)) AS is_scored
                FROM read_parquet({quoted(file)}) p LEFT JOIN kept_score k USING (clinic_id, record_id)
                GROUP BY ALL
            )
            SELECT count(h.record_id), count(*) FILTER (s.record_id IS NULL), count(*) FILTER (s.times > 1),
                   count(*) FILTER (h.record_id IS NULL), count(*) FILTER (s.intake_hash <> h.intake_hash),
                   count(*) FILTER (NOT s.is_scored)
            FROM held h FULL JOIN shown s USING (clinic_id, record_id)
            """,
            {
                "clinic": clinic,
                "model": about.model_version,
                "catalogue": about.catalogue_version,
                "rules": about.rules_version,
                "contract": about.contract_version,
            },
        ).fetchall()
        rows += held
        wrong = {name: count + more for (name, count), more in zip(wrong.items(), counts, strict=True)}
    found = ", ".join(f"{count} {name}" for name, count in wrong.items() if count)
    return _finding(
        "records", found or f"{rows} records, each with one row", "one row and one score a record", held=bool(found)
    )


def _rules(cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], about: Publication) -> Finding:
    """Every emergency rule has a result in every row, but in those that keep the tier of the table before."""
    lacking = 0
    for file in files:
        ((count,),) = cursor.execute(
            f"""
            WITH shaped AS (
                SELECT list_transform(rule_status, lambda s: if(s.result IS NULL, NULL, s.id)) AS ids
                FROM read_parquet({quoted(file)}) ANTI JOIN kept_score USING (clinic_id, record_id)
            )
            -- all rows have one of few lists, and looking into each of a million costs seconds
            SELECT coalesce(sum(rows), 0)::BIGINT
            FROM (SELECT any_value(ids) AS ids, count(*) AS rows FROM shaped GROUP BY hash(ids))
            WHERE NOT coalesce(list_has_all(ids, $rules), false)
            """,
            {"rules": list(about.emergency_rules)},
        ).fetchall()
        lacking += count
    return _finding(
        "emergency rules",
        f"{lacking} rows without a result of one of {len(about.emergency_rules)} rules",
        "a result of each in every row",
        held=bool(lacking),
    )


def _finding(name: str, found: str, limit: str, *, held: bool) -> Finding:
    return Finding(
        name=name, state="held" if held else "passed", found=found, limit=limit, next_step=_TELL_MAKERS if held else ""
    )


def _columns_of(file: Path) -> Iterator[tuple[str, str, str]]:
    """Table or view, column and type of everything in a DuckDB file."""
    connection = duckdb.connect(file, read_only=True)
    try:
        yield from connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = current_database()"
        ).fetchall()
    finally:
        connection.close()


def _described(cursor: duckdb.DuckDBPyConnection, source: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind, *_ in cursor.execute(f"DESCRIBE FROM {source}").fetchall()]
