"""One set of records in every format that clinics send comes back as the same records, through a real warehouse."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.written_records import CLINIC, FORMATS, typed_records
from warehouse import intake, ledger, sources
from warehouse.home import Home
from warehouse.store import opened


def load(home: Home, content: bytes, folder: Path, clinic: str = CLINIC) -> ledger.Reconciled:
    file = folder / "export"  # no suffix: a file is known by its content
    file.write_bytes(content)
    batch, _ = sources.register(home, file, clinic=clinic, data_kind="sample")
    return intake.load(home, batch.batch_id)


def valid(home: Home, columns: list[str]) -> pl.DataFrame:
    named = ", ".join(f'"{column}"' for column in columns)
    with opened(home, "test") as connection:
        return connection.execute(f"SELECT {named} FROM intake_valid ORDER BY record_id").pl()


@pytest.mark.parametrize("kind", FORMATS)
def test_records_come_back_equal_from_every_format(kind: str, home: Home, tmp_path: Path) -> None:
    records = typed_records()
    counts = load(home, FORMATS[kind](records), tmp_path)
    assert (counts.refusal, counts.accepted, counts.quarantined) == (None, records.height, 0), ledger.sentence(counts)
    assert valid(home, records.columns).equals(records.sort("record_id"))


def test_the_same_records_in_another_format_are_duplicates(home: Home, tmp_path: Path) -> None:
    records = typed_records(n=20)
    kinds = ["csv", "semicolon and decimal comma", "workbook", "json", "parquet", "csv, gzip"]
    first, *later = [load(home, FORMATS[kind](records), tmp_path) for kind in kinds]
    assert ledger.state(first) == "clean"
    assert [(counts.duplicate, counts.accepted, ledger.state(counts)) for counts in later] == [
        (records.height, 0, "nothing new")
    ] * len(later)
