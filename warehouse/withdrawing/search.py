"""Everything that an installation holds of a record or a person: rows of tables, and records of archived files.

Belongs here: finding, without changing anything. Does not belong here: what is done with it
(``warehouse.withdrawing.withdrawal``).

Tables know a record by its key, but a duplicate and a refused record have none there, so the archived files are read
once more too. Privacy: keys and texts pass through here; nothing of them is logged or put into an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import polars as pl

from schemas.problems import FileRefused
from warehouse import follow_up
from warehouse.formats.block import Block, Header, Source
from warehouse.formats.recognise import opened_source
from warehouse.home import Home
from warehouse.reading_plan import plan_of
from warehouse.withdrawing.naming import form_keys, named_in
from warehouse.withdrawing.refused import mentions, refused_whole
from warehouse.withdrawing.tables import KEY, PLACE, WHOLE_FILE, check_tables, tables_with

ARRIVALS = {"batch_id": pl.String(), "record_number": pl.Int64()}


@dataclass(frozen=True, slots=True, repr=False)
class Named:
    """What is to be withdrawn: a record, all records of a person, or refused records whose id cannot be read.

    ``refused``: batch and record number, ``WHOLE_FILE`` for a file that was refused whole.
    """

    clinic_id: str
    record_id: str | None = None
    patient_key: str | None = None
    refused: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """What there is of it.

    ``record_ids``: of the clinic. ``arrivals``: batch_id and record_number, each once. ``texts``: folder ('' for none)
    and text of those that are not well-formed. ``clinics``: those whose published tables may show something of it.
    ``refused_files``: batches refused whole whose file holds the id. ``decided``: rows of clinicians' decisions, of
    conditions that were confirmed and of safety concerns. ``unclear``: batches refused whole whose file could not be
    looked into.
    """

    named: Named
    record_ids: tuple[str, ...]
    arrivals: pl.DataFrame
    texts: tuple[tuple[str, str], ...]
    clinics: tuple[str, ...]
    refused_files: tuple[str, ...]
    unclear: tuple[str, ...]
    decided: int

    @property
    def nothing(self) -> bool:
        """Whether the installation holds nothing of it."""
        return self.arrivals.is_empty() and not self.refused_files


def look(connection: duckdb.DuckDBPyConnection, home: Home, named: Named, *, in_files: bool) -> Found:
    """What there is of ``named``; with ``in_files`` the archived files are read too.

    Raises WarehouseRefused where a table is not known.
    """
    check_tables(connection)
    ids = {named.record_id} if named.record_id is not None else set()
    arrivals = pl.DataFrame(named.refused, schema=ARRIVALS, orient="row").filter(pl.col("record_number") != WHOLE_FILE)
    texts: set[tuple[str, str]] = set()
    while True:
        before = len(ids)
        ids |= _ids_of_person(connection, named)
        arrivals = pl.concat([arrivals, _rows_by_key(connection, named, ids)])
        if in_files:
            for part in _files(connection, home, named, ids, arrivals):
                arrivals = pl.concat([arrivals, part.arrivals])
                ids |= part.record_ids
                texts |= part.texts
        if len(ids) == before:
            break
    arrivals = arrivals.unique().sort("batch_id", "record_number")
    refused, unclear = _refused(connection, home, named, ids) if in_files else ((), ())
    return Found(
        named=named,
        record_ids=tuple(sorted(ids)),
        arrivals=arrivals,
        texts=tuple(sorted(texts)),
        clinics=_shown_under(connection, named, arrivals),
        refused_files=refused,
        unclear=unclear,
        decided=_decided(connection, named, ids),
    )


def _ids_of_person(connection: duckdb.DuckDBPyConnection, named: Named) -> set[str]:
    if named.patient_key is None:
        return set()
    rows: list[tuple[str]] = []
    for table in tables_with(connection, (*KEY, "patient_key")):
        rows += connection.execute(
            f"SELECT DISTINCT record_id FROM {table} WHERE clinic_id = ? AND patient_key = ? AND record_id IS NOT NULL",
            [named.clinic_id, named.patient_key],
        ).fetchall()
    return {record_id for (record_id,) in rows}


def _rows_by_key(connection: duckdb.DuckDBPyConnection, named: Named, ids: set[str]) -> pl.DataFrame:
    """Places of rows that carry the key; a refused one may name another clinic than the one its file came from."""
    found = [pl.DataFrame(schema=ARRIVALS)]
    for table in tables_with(connection, (*PLACE, *KEY)):
        person = " OR t.patient_key = $person" if table in tables_with(connection, ("patient_key",)) else ""
        bound = {"clinic": named.clinic_id, "ids": sorted(ids)} | ({"person": named.patient_key} if person else {})
        found.append(
            connection.execute(
                f"SELECT t.batch_id, t.record_number FROM {table} t LEFT JOIN intake_file f USING (batch_id) "
                "WHERE (t.clinic_id = $clinic OR f.clinic = $clinic) "
                f"AND (t.record_id IN (SELECT unnest($ids::VARCHAR[])){person})",
                bound,
            )
            .pl()
            .cast(ARRIVALS)  # type: ignore[arg-type]
        )
    return pl.concat(found).unique()


@dataclass(frozen=True, slots=True)
class _InFile:
    arrivals: pl.DataFrame
    record_ids: set[str]
    texts: set[tuple[str, str]]


def _files(
    connection: duckdb.DuckDBPyConnection, home: Home, named: Named, ids: set[str], arrivals: pl.DataFrame
) -> Iterator[_InFile]:
    """What each loaded file holds of it: of the clinic, of no clinic, or known to hold a record of it."""
    batches = connection.execute(
        "SELECT batch_id, clinic, sha256 FROM intake_file JOIN (SELECT DISTINCT batch_id FROM intake_raw) "
        "USING (batch_id) WHERE clinic IN ($clinic, '') OR batch_id IN (SELECT unnest($known)) ORDER BY batch_id",
        {"clinic": named.clinic_id, "known": arrivals["batch_id"].unique().to_list()},
    ).fetchall()
    for batch_id, folder, sha256 in batches:
        try:
            with opened_source(home.archive / sha256) as source:
                yield _in_file(home, source, batch_id, folder, named, ids)
        except (FileRefused, OSError):
            # Destroyed, or not read any more as it was: the texts of the records without a key are left to look at.
            yield _in_raw(connection, batch_id, folder, named, ids)


def _in_file(home: Home, source: Source, batch_id: str, folder: str, named: Named, ids: set[str]) -> _InFile:
    if follow_up.contents_of(source.header.columns) == "intake":
        plan = plan_of(home, source, folder)
        wanted = plan.wanted
    else:
        plan, wanted = None, tuple(column for column in KEY if column in source.header.columns)
    numbers, found_ids, texts = [], set[str](), set[tuple[str, str]]()
    for block in source.blocks(wanted):
        rows = block.cells["row"]
        if plan:
            mapped = plan.to_form(block.cells)
            refused = mapped.problems.filter(pl.col("cell").str.strip_chars().is_in(sorted(ids)))
            by_cell = refused.filter(column="record_id")["row"].unique()
            cells = mapped.cells
        else:
            cells, by_cell = block.cells, pl.Series(dtype=pl.UInt32)
        keys = form_keys(cells, folder).with_row_index("place")
        here = (pl.col("clinic_id") == named.clinic_id) | (folder == named.clinic_id)
        whose = pl.col("record_id").is_in(sorted(ids))
        if named.patient_key is not None:
            whose = whose | (pl.col("patient_key") == named.patient_key)
        hits = keys.filter(here & whose)
        found_ids.update(hits["record_id"].drop_nulls())
        broken = _broken(block, source.header, named, ids)
        texts.update((folder, text) for text in block.texts.gather(broken))
        places = pl.concat([rows.gather(hits["place"]), rows.gather(by_cell.cast(pl.UInt32)), broken])
        numbers.append(block.numbers.gather(places.unique()))
    found = pl.concat(numbers) if numbers else pl.Series(dtype=pl.Int64)
    return _InFile(_places(batch_id, found), found_ids, texts)


def _broken(block: Block, header: Header, named: Named, ids: set[str]) -> pl.Series:
    """Places of records that are not well-formed and name it."""
    wanted = ids | ({named.patient_key} if named.patient_key is not None else set())
    texts = block.broken.select("row", block.texts.gather(block.broken["row"]).alias("text"))
    return named_in(texts, header).filter(pl.col("value").is_in(sorted(wanted)))["row"].unique()


def _in_raw(connection: duckdb.DuckDBPyConnection, batch_id: str, folder: str, named: Named, ids: set[str]) -> _InFile:
    rows = connection.execute(
        "SELECT record_number, record_text FROM intake_raw r WHERE batch_id = ? AND record_number > 0 "
        "AND NOT EXISTS (SELECT 1 FROM intake_valid v WHERE v.batch_id = r.batch_id "
        "AND v.record_number = r.record_number)",
        [batch_id],
    ).fetchall()
    wanted = ids | ({named.patient_key} if named.patient_key is not None else set())
    found = [number for number, text in rows if mentions(text, wanted)]
    return _InFile(_places(batch_id, pl.Series(found, dtype=pl.Int64)), set(), set())


def _places(batch_id: str, numbers: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"record_number": numbers}).select(pl.lit(batch_id).alias("batch_id"), "record_number")


def _refused(
    connection: duckdb.DuckDBPyConnection, home: Home, named: Named, ids: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    chosen = {batch_id for batch_id, number in named.refused if number == WHOLE_FILE}
    values = ids | ({named.patient_key} if named.patient_key is not None else set())
    return refused_whole(connection, home, named.clinic_id, values, chosen)


def _shown_under(connection: duckdb.DuckDBPyConnection, named: Named, arrivals: pl.DataFrame) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT DISTINCT clinic FROM intake_file WHERE clinic <> '' AND batch_id IN (SELECT unnest($batches))",
        {"batches": arrivals["batch_id"].unique().to_list()},
    ).fetchall()
    return tuple(sorted({named.clinic_id, *(clinic for (clinic,) in rows)}))


def _decided(connection: duckdb.DuckDBPyConnection, named: Named, ids: set[str]) -> int:
    ((count,),) = connection.execute(
        """
        WITH said AS (
            SELECT clinic_id, record_id FROM decision
            UNION ALL SELECT clinic_id, record_id FROM outcome WHERE confirmed_condition IS NOT NULL
            UNION ALL SELECT clinic_id, record_id FROM safety_concern
        )
        SELECT count(*) FROM said WHERE clinic_id = $clinic AND record_id IN (SELECT unnest($ids::VARCHAR[]))
        """,
        {"clinic": named.clinic_id, "ids": sorted(ids)},
    ).fetchall()
    return int(count)
