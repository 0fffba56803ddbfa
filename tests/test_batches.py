"""Batches as partitions: each with its own counts, state and checks; one that fails stops neither the others nor the
publication, and any of them can be materialised again with the same result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.definitions import hiptriage
from pipelines.defs.intake import SEE_PARTITIONS
from pipelines.showing.column_schemas import COLUMN_SCHEMAS
from schemas.contract import Split
from tests.batch_runs import checked, materialised, red, run, shown
from warehouse import intake, landing, replay, sources, staging
from warehouse.home import Home
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.sources import Batch
from warehouse.store import opened

BATCHES, YEARS, A_YEAR = 24, 6, 4
CANARY = "Zorblaxbatch"
HEADER = "record_id,submitted_at,age_years,systemic__fever,notes\n"
TABLES = ("intake_raw", "intake_valid", "intake_warning", "intake_quarantine")
GONE, CHANGED, NO_HEADER, CRASHES, HELD_BACK, WITH_BAD_ROW = 3, 5, 6, 11, 15, 20
BAD = {GONE: "archive_gone", CHANGED: "archive_changed", NO_HEADER: "no_header", CRASHES: "read_failed"}


def content(number: int) -> str:
    """A quarter of a clinic: a new record, a version of one that comes again, and the same form sent twice."""
    year, month = 2020 + number // A_YEAR, 1 + 3 * (number % A_YEAR)
    row = f"r{number},{year}-{month:02d}-03T10:00:00Z,{20 + number % 50},1,{CANARY}\n"
    again = f"again,{year}-{month:02d}-05T10:00:00Z,30,,\n"
    if number == NO_HEADER:
        return "x,y\n1,2\n"
    return HEADER + row + again + row + ("late,yesterday,30,1,\n" if number == WITH_BAD_ROW else "")


@dataclass(frozen=True)
class History:
    """A home with years of batches loaded by one run, and what Dagster has of it."""

    home: Home
    instance: dg.DagsterInstance
    batches: list[str]
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("history")
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text('data_kind = "sample"\n')
    batches = []
    for number in range(BATCHES):
        file = folder / f"{CANARY} {number}.csv"
        file.write_text(content(number))
        batches.append(sources.register(home, file, clinic="north", data_kind="sample")[0])
    (home.archive / batches[GONE].sha256).unlink()
    changed = home.archive / batches[CHANGED].sha256
    changed.chmod(0o600)
    changed.write_text(content(CHANGED).replace("again", "other"))
    ids = [batch.batch_id for batch in batches]
    decide, split = intake.decide, staging.split

    def crashes(connection: Any, batch: Batch) -> None:
        if batch.batch_id == ids[CRASHES]:
            raise ValueError(CANARY)
        decide(connection, batch)

    def lets_through(cells: pl.DataFrame, **named: Any) -> Split:
        parts = split(cells, **named)
        if not (cells["record_id"] == f"r{HELD_BACK}").any():
            return parts
        too_old = pl.when(pl.col("record_id") == "again").then(pl.lit(500, pl.Int32)).otherwise("age_years")
        return Split(
            parts.accepted.with_columns(too_old.alias("age_years")), parts.refused, parts.rejections, parts.warnings
        )

    with pytest.MonkeyPatch.context() as patched, dg.DagsterInstance.local_temp(str(folder)) as instance:
        patched.setenv("HIPTRIAGE_HOME", str(home.root))
        with patched.context() as broken:
            broken.setattr(intake, "decide", crashes)
            broken.setattr(staging, "split", lets_through)
            result = run(instance, "record_path", ids)
        yield History(home, instance, ids, result)


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    with opened(home, "test") as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
def test_years_of_history_are_loaded_and_published_by_one_run(history: History) -> None:
    assert history.result.success
    counts = rows(
        history.home,
        "SELECT count(*), sum(received), sum(accepted), sum(quarantined), sum(duplicate), sum(superseded) "
        "FROM intake_ledger",
    )
    good = BATCHES - len(BAD)
    # The file that is held back in part accepts one record less, the one with a bad row receives one more.
    assert counts == [(BATCHES, 3 * good + 1, 2 * good - 1, 2, good, 0)]
    with connect(current_snapshot(history.home)) as connection:
        ((published,),) = connection.execute("SELECT count(*) FROM referrals").fetchall()
    assert published == good + 1
    assert rows(history.home, "SELECT year(max(submitted_at)) - year(min(submitted_at)) FROM intake_valid") == [
        (YEARS - 1,)
    ]


@pytest.mark.slow
def test_each_batch_has_its_own_state_and_counts_on_every_table(history: History) -> None:
    for table in TABLES:
        told = materialised(history.result, table)
        assert set(told) == set(history.batches)
        for number, batch in enumerate(history.batches):
            said = told[batch]
            assert said == shown(history.instance, table, batch)
            assert said.get("refused") == BAD.get(number)
            assert said["clinic"] == "north"
            states = {**dict.fromkeys(BAD, "refused whole"), HELD_BACK: "accepted with 1 quarantined"}
            assert said["state"] == (states | {WITH_BAD_ROW: "accepted with 1 quarantined"}).get(number, "clean")
            assert said["received"] == (0 if number in BAD else 4 if number == WITH_BAD_ROW else 3)
    assert materialised(history.result, "intake_valid")[history.batches[0]]["dagster/row_count"] == 2


@pytest.mark.slow
def test_each_batch_has_its_own_checks_and_a_red_one_says_what_to_do(history: History) -> None:
    expected = {
        "loaded": set(BAD),
        "contract": {HELD_BACK},
        "reconciliation": set(),
        "refusals": {*BAD, HELD_BACK, WITH_BAD_ROW},
    }
    tables = {"contract": "intake_valid", "refusals": "intake_quarantine"}
    for check, numbers in expected.items():
        found = checked(history.result, check)
        assert set(found) == set(history.batches)
        wanted = {history.batches[number] for number in numbers}
        assert {batch for batch, (passed, _) in found.items() if not passed} == wanted
        assert red(history.instance, tables.get(check, "intake_raw"), check) == wanted
        for batch in wanted:
            said = found[batch][1]
            assert said["job"] == "/locations/hiptriage/jobs/replay_quarantine/playground"
            assert said["next step"]
    crashed = checked(history.result, "loaded")[history.batches[CRASHES]][1]
    assert crashed["error of the program"].startswith("ValueError at tests.test_batches:")
    graph = hiptriage().resolve_asset_graph()
    for check in expected:  # the head of a check's page shows one batch of many, and it need not be a red one
        key = dg.AssetCheckKey(dg.AssetKey(tables.get(check, "intake_raw")), check)
        assert SEE_PARTITIONS in str(graph.get_check_spec(key).description)


@pytest.mark.slow
def test_nothing_of_a_patient_is_in_what_dagster_keeps(history: History) -> None:
    for entry in history.instance.all_logs(history.result.run_id):
        assert CANARY not in str(entry)


@pytest.mark.slow
def test_a_record_that_would_break_the_contract_is_held_back_and_nobody_gets_it_half(history: History) -> None:
    batch = history.batches[HELD_BACK]
    said = rows(
        history.home,
        f"SELECT record_id, problems[1].code FROM intake_waiting WHERE batch_id = '{batch}'",
    )
    assert said == [("again", "contract_broken")]
    assert rows(history.home, f"SELECT record_id FROM intake_valid WHERE batch_id = '{batch}'") == [(f"r{HELD_BACK}",)]


@pytest.mark.slow
def test_batches_materialised_again_give_the_same_and_change_no_table(history: History) -> None:
    chosen = history.batches[GONE - 1 : NO_HEADER + 1]
    before = contents(history.home)
    again = run(history.instance, "intake", chosen)
    assert again.success
    assert contents(history.home) == before
    for table in TABLES:
        first = materialised(history.result, table)
        assert materialised(again, table) == {batch: first[batch] for batch in chosen}
    for check in ("loaded", "contract", "reconciliation", "refusals"):
        first_checks = checked(history.result, check)
        assert checked(again, check) == {batch: first_checks[batch] for batch in chosen}


@pytest.mark.slow
def test_what_was_refused_for_a_fault_is_read_by_a_replay_once_the_fault_is_gone(
    history: History, tmp_path: Path
) -> None:
    """Last of this file: it changes the home. The same bytes again bring the archived file back."""
    home = history.home
    assert set(replay.waiting(home)) == {history.batches[number] for number in (*BAD, HELD_BACK, WITH_BAD_ROW)}
    for number in (GONE, CHANGED):
        file = tmp_path / f"{number}.csv"
        file.write_text(content(number))
        batch, is_new = sources.register(home, file, clinic="north", data_kind="sample")
        assert (batch.batch_id, is_new) == (history.batches[number], False)
    for number in (GONE, CHANGED, CRASHES):
        assert replay.replay(home, history.batches[number]).released == 3
    assert replay.replay(home, history.batches[HELD_BACK]).released == 1
    again = run(history.instance, "intake", history.batches[HELD_BACK : HELD_BACK + 1])
    assert again.success
    assert checked(again, "contract")[history.batches[HELD_BACK]][0]
    assert checked(again, "reconciliation")[history.batches[HELD_BACK]][0]
    assert set(replay.waiting(home)) == {history.batches[number] for number in (NO_HEADER, WITH_BAD_ROW)}


def contents(home: Home) -> dict[str, tuple[Any, ...]]:
    """Number of rows and a digest of every table."""
    with opened(home, "test") as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary ORDER BY 1").fetchall()
        return {
            name: connection.execute(f"SELECT count(*), bit_xor(hash(t)) FROM {name} t").fetchall()[0]
            for (name,) in names
        }


def test_the_order_of_batches_changes_no_current_record_and_no_sum(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.csv" for number in range(3)]
    for number, file in enumerate(files):
        file.write_text(content(number))
    ends = set()
    for order in ((0, 1, 2), (2, 0, 1)):
        home = Home(tmp_path / "".join(map(str, order)))
        home.ensure()
        for number in order:
            batch, _ = sources.register(home, files[number], clinic="north", data_kind="sample")
            assert intake.load(home, batch.batch_id).balanced
        current = rows(home, "SELECT record_id, submitted_at, age_years FROM intake_current ORDER BY 1")
        sums = rows(home, "SELECT sum(received), sum(accepted) + sum(superseded), sum(duplicate) FROM intake_ledger")
        ends.add((tuple(current), tuple(sums)))
    assert len(ends) == 1


def test_landing_shows_batches_that_dagster_did_not_see_and_calls_out_what_waits(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.landing / "north").mkdir()
    (home.landing / "north" / "1.csv").write_text(content(1))
    batch, _ = sources.register(home, home.landing / "north" / "1.csv", clinic="north", data_kind="live")
    intake.load(home, batch.batch_id)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        first = run(instance, "landing")
        (home.landing / "nobody's.csv").write_text(content(2))
        monkeypatch.setattr(landing, "time", SimpleNamespace(time=lambda: time.time() + 7200, sleep=time.sleep))
        second = run(instance, "landing")
        assert first.success and second.success
        assert shown(instance, "intake_valid", batch.batch_id)["accepted"] == 2
        assert red(instance, "intake_raw", "loaded") == set()
        assert instance.get_dynamic_partitions("batch") == [batch.batch_id]
    told = [
        event.materialization.metadata["batches loaded while Dagster was not watching"].value
        for result in (first, second)
        for event in result.get_asset_materialization_events()
    ]
    assert told == [1, 0]
    assert checked(first, "nothing_waits")["None"][0]
    passed, said = checked(second, "nothing_waits")["None"]
    assert not passed
    assert (said["files left for long"], said["batches not loaded for long"]) == (1, 0)
    assert said["job"] == "/locations/hiptriage/jobs/landing/playground"


def test_the_column_schemas_are_those_of_the_tables_and_say_what_every_column_holds(home: Home) -> None:
    with opened(home, "test") as connection:
        for table, schema in COLUMN_SCHEMAS.items():
            described = connection.execute(f"SELECT * FROM {table} LIMIT 0").description or []
            assert [column.name for column in schema.columns] == [name for name, *_ in described]
            types = connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
            ).fetchall()
            found = {name: kind.replace('"', "") for name, kind in types}
            for column in schema.columns:
                expected = "TIMESTAMP WITH TIME ZONE" if column.type == "TIMESTAMPTZ" else column.type
                assert found[column.name] == expected, column.name
                assert column.description
