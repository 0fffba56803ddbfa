"""An unexpected error inside an asset: its kind and place are kept, its words and causes nowhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import dagster as dg
import pytest

from pipelines.failures import without_patient_values
from warehouse.store import WarehouseRefused

CANARY = "Zorblaxtraceback"


@dg.asset
def careless() -> None:
    """Meets an error that quotes a patient, on the way from another one."""
    with without_patient_values("test"):
        try:
            int(CANARY)
        except ValueError as cause:
            raise RuntimeError(f"while reading {CANARY}") from cause


def test_dagster_keeps_no_word_of_an_unexpected_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = dg.materialize([careless], instance=instance, raise_on_error=False)
    assert not result.success
    printed = capfd.readouterr()
    assert "unexpected RuntimeError at tests.test_failures:" in printed.out + printed.err
    kept = 0
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert CANARY.encode() not in file.read_bytes(), file.name
        if file.suffix == ".db":
            connection = sqlite3.connect(file)
            rows = [
                str(row)
                for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for row in connection.execute(f'SELECT * FROM "{table}"').fetchall()
            ]
            connection.close()
            assert CANARY not in "".join(rows), file.name
            kept += sum("unexpected RuntimeError" in row for row in rows)
    assert kept, "the failure itself has to be in the event log"
    assert CANARY not in printed.out + printed.err


def test_our_own_sentences_pass_as_they_are() -> None:
    with pytest.raises(dg.Failure, match="stage: the warehouse is closed"), without_patient_values("stage"):
        raise WarehouseRefused("the warehouse is closed")
