"""How fast and in how much memory a file is taken in, beside what DuckDB alone takes to load it into a typed table.

Run: ``.venv/bin/python -m benchmarks.intake [RECORDS ...]`` (default 50000 200000). Each size runs in a process of its
own, so that its peak memory is its own; the figures of one call stand side by side.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import polars as pl

from models.catalogue import load_catalogue
from models.cohort import generate
from schemas.form import FREE_TEXT_COLUMN, AnswerType, form
from warehouse import intake, sources
from warehouse.home import Home

DISTINCT = 20_000
SQL: dict[AnswerType, str] = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "choice": "VARCHAR",
    "integer": "INTEGER",
    "number": "DOUBLE",
    "yesno": "BOOLEAN",
}


def write(records: int, file: Path) -> None:
    """A canonical CSV of ``records`` generated records: 20,000 different people, each id once."""
    people = generate(load_catalogue(), n=DISTINCT, seed=1).records
    columns = [q.column for q in form() if q.column in people.columns and q.column != FREE_TEXT_COLUMN]
    cells = people.select(
        pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%SZ").str.replace("^20[0-9]{2}", "2024")
        if name == "submitted_at"
        else pl.col(name).cast(pl.Int8)
        if people.schema[name] == pl.Boolean
        else pl.col(name)
        for name in columns
    )
    with file.open("wb") as out:
        for start in range(0, records, DISTINCT):
            part = cells.head(min(DISTINCT, records - start)).with_columns(
                pl.lit("north").alias("clinic_id"),
                pl.format("{}-{}", pl.lit(start), pl.col("record_id")).alias("record_id"),
            )
            part.write_csv(out, include_header=start == 0)


def take_in(file: Path) -> None:
    """Load the file into a new home; prints seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.ensure()
        start = time.perf_counter()
        batch, _ = sources.register(home, file, clinic="north", data_kind="sample")
        counts = intake.load(home, batch.batch_id)
        _say(f"hiptriage: {counts.accepted} accepted", start)


def duckdb_alone(file: Path) -> None:
    """Load the file into a typed table by DuckDB's own reader; prints seconds and peak memory."""
    types = {q.column: SQL[q.type] for q in form()}
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(Path(folder) / "t.duckdb")) as connection:
        start = time.perf_counter()
        connection.execute(
            "CREATE TABLE t AS SELECT * FROM read_csv(?, header = true, types = ?)", [str(file), _in(file, types)]
        )
        connection.execute("CHECKPOINT")
        _say("DuckDB alone", start)


def _in(file: Path, types: dict[str, str]) -> dict[str, str]:
    with file.open() as text:
        return {name: types[name] for name in text.readline().strip().split(",")}


def _say(what: str, start: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {what}: {time.perf_counter() - start:.1f} s, peak {peak:.0f} MiB", flush=True)


def main() -> None:
    """Every size, each measurement in a process of its own."""
    match sys.argv[1:]:
        case ["write", records, file]:
            write(int(records), Path(file))
        case ["take-in", file]:
            take_in(Path(file))
        case ["duckdb", file]:
            duckdb_alone(Path(file))
        case sizes:
            for records in map(int, sizes or ["50000", "200000"]):
                with tempfile.NamedTemporaryFile(suffix=".csv") as file:
                    print(f"{records} records", flush=True)
                    for step in (["write", str(records)], ["duckdb"], ["take-in"]):
                        subprocess.run([sys.executable, "-m", "benchmarks.intake", *step, file.name], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
