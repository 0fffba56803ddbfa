"""A record's way in: archive, raw, valid, warnings, quarantine, dispositions, ledger; all or nothing, counts add up."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse import archive, intake, landing, ledger, replay, sources
from warehouse.home import Home, SettingsRefused
from warehouse.lock import WarehouseBusy, holding
from warehouse.store import WarehouseRefused, opened

HEADER = "record_id,submitted_at,age_years,systemic__fever,weird,notes\n"


def load(home: Home, file: Path, clinic: str = "north") -> ledger.Reconciled:
    batch, _ = sources.register(home, file, clinic=clinic, data_kind="live")
    return intake.load(home, batch.batch_id)


def rows(home: Home, query: str) -> list[tuple[object, ...]]:
    with opened(home, "test") as connection:
        return connection.execute(query).fetchall()


def dispositions(home: Home) -> list[object]:
    in_order = "intake_disposition JOIN intake_file USING (batch_id) ORDER BY received_at, record_number"
    return [row[0] for row in rows(home, f"SELECT disposition FROM {in_order}")]


def test_every_record_gets_one_disposition_and_the_counts_add_up(home: Home, csv_file: Callable[..., Path]) -> None:
    file = csv_file(
        HEADER
        + "a,2026-01-02T10:00:00Z,30,1,x,\n"  # accepted
        + "a,2026-01-02T10:00:00Z,30,1,y,\n"  # the same answers again
        + "a,2026-01-02T10:00:00Z,31,1,y,\n"  # the same time, other answers
        + "a,2026-01-01T10:00:00Z,29,1,y,\n"  # older than the current version
        + "a,2026-01-03T10:00:00Z,30,0,y,\n"  # newer
        + "b,2026-01-02T10:00:00Z,5.5,1,y,\n"  # cannot be read
        + "c,2026-01-02T10:00:00Z,30,1\n"  # too few cells
    )
    counts = load(home, file)
    assert dispositions(home) == [
        "accepted", "duplicate", "quarantined", "superseded", "accepted", "quarantined", "quarantined",
    ]  # fmt: skip
    assert counts.balanced
    assert counts.counts == {
        "received": 7, "accepted": 2, "quarantined": 3, "duplicate": 1, "superseded": 1, "warned": 0,
        "unknown_columns": 1, "set_aside": 0, "noted": 0, "withdrawn": 0,
    }  # fmt: skip
    assert ledger.state(counts) == "accepted with 3 quarantined"
    assert "7 received = 2 accepted + 3 quarantined + 1 duplicate + 1 superseded" in ledger.sentence(counts)
    codes = rows(home, "SELECT unnest(problems).code FROM intake_quarantine ORDER BY record_number")
    assert codes == [("conflicting_version",), ("not_a_whole_number",), ("cell_count",)]


def test_the_same_versions_give_the_same_end_in_any_order_of_files(
    home: Home, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    old, new = "a,2026-01-01T10:00:00Z,29,1,,\n", "a,2026-01-03T10:00:00Z,30,0,,\n"
    load(home, csv_file(HEADER + new, "1.csv"))
    load(home, csv_file(HEADER + old, "2.csv"))
    assert dispositions(home) == ["accepted", "superseded"]
    assert rows(home, "SELECT age_years FROM intake_current") == [(30,)]


def test_an_answer_in_a_later_file_duplicates_or_conflicts_with_an_earlier_one(
    home: Home, csv_file: Callable[..., Path]
) -> None:
    row = "a,2026-01-01T10:00:00Z,29,1,{},\n"
    load(home, csv_file(HEADER + row.format(1), "1.csv"))
    assert load(home, csv_file(HEADER + row.format(2), "2.csv")).duplicate == 1
    assert load(home, csv_file(HEADER + row.replace("29", "28"), "3.csv")).quarantined == 1


def test_the_same_bytes_again_are_a_no_op_and_another_clinic_is_another_source(
    home: Home, csv_file: Callable[..., Path]
) -> None:
    file = csv_file(HEADER + "a,2026-01-01T10:00:00Z,29,1,,\n")
    first, new = sources.register(home, file, clinic="north", data_kind="live")
    again, still_new = sources.register(home, file, clinic="north", data_kind="live")
    assert (new, still_new, again) == (True, False, first)
    assert intake.load(home, first.batch_id) == intake.load(home, first.batch_id)
    assert rows(home, "SELECT count(*) FROM intake_raw WHERE record_number > 0") == [(1,)]
    assert sources.register(home, file, clinic="south", data_kind="live")[1]


def test_a_record_leads_back_to_its_file_and_original_text(home: Home, csv_file: Callable[..., Path]) -> None:
    line = 'a,2026-01-01T10:00:00Z,29,1,"odd, cell","first\nsecond"'
    file = csv_file(HEADER + line + "\n")
    load(home, file)
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    assert rows(home, "SELECT sha256, record_number, record_text FROM intake_lineage") == [(sha, 1, line)]
    assert (home.archive / sha).read_bytes() == file.read_bytes()
    assert file.exists()


def test_a_file_refused_whole_is_kept_and_told(home: Home, csv_file: Callable[..., Path]) -> None:
    counts = load(home, csv_file("record_id,age_years\na,30\n"))
    assert counts.refusal == "missing_column"
    assert "refused whole: a required column is missing" in ledger.sentence(counts)
    assert len(list(home.archive.iterdir())) == 1
    assert sources.pending_batches(home) == []
    assert rows(home, "SELECT count(*) FROM intake_raw") == [(0,)]


def test_a_bad_byte_costs_its_own_record_and_no_other(home: Home, csv_file: Callable[..., Path]) -> None:
    lines = [f"r{number},2026-01-01T10:00:00Z,29,1,,caf\u00e9".encode() for number in range(5)]
    lines[3] = b"r3,2026-01-01T10:00:00Z,29,1,,\xff"
    counts = load(home, csv_file(HEADER.encode() + b"\n".join(lines) + b"\n"))
    assert (counts.received, counts.accepted, counts.quarantined) == (5, 4, 1)
    assert rows(home, "SELECT record_number, problems[1].code FROM intake_quarantine") == [(4, "bad_bytes")]
    assert rows(home, "SELECT record_text FROM intake_raw WHERE record_number = 4") == [
        ("r3,2026-01-01T10:00:00Z,29,1,,\\xff",)
    ]


def test_live_records_never_share_a_home_with_invented_ones(home: Home, csv_file: Callable[..., Path]) -> None:
    load(home, csv_file(HEADER))
    with pytest.raises(WarehouseRefused, match="live"):
        sources.register(home, csv_file(HEADER + "\n", "2.csv"), clinic="north", data_kind="sample")
    with pytest.raises(WarehouseRefused, match="live"):
        sources.register(home, csv_file(HEADER), clinic="south", data_kind="sample")
    assert len(list(home.archive.iterdir())) == 1, "bytes that no row names would outlive every withdrawal"


def test_a_file_without_any_clinic_is_a_usage_error(home: Home, csv_file: Callable[..., Path]) -> None:
    with pytest.raises(sources.ClinicNotNamed):
        sources.register(home, csv_file(HEADER), clinic="", data_kind="live")
    assert not list(home.archive.iterdir())


def test_the_landing_folder_is_read_by_clinic_and_left_as_it_was(home: Home) -> None:
    (home.landing / "north").mkdir()
    (home.landing / "north" / "a.csv").write_text(HEADER + "a,2026-01-01T10:00:00Z,29,1,,\n")
    (home.landing / "b.csv").write_text("record_id,clinic_id,submitted_at\na,south,2026-01-01T10:00:00Z\n")
    (home.landing / "link.csv").symlink_to("/etc/passwd")
    (home.landing / "c.csv").write_text(HEADER)
    (home.landing / "Clinic D").mkdir()
    (home.landing / "north" / "deeper").mkdir()
    (home.landing / "south").symlink_to(home.landing / "Clinic D")
    (home.landing / "east\n").mkdir()
    assert landing.take_in(home) == landing.TakenIn(new=2, known=0, left=1, passed_over=5)
    assert landing.take_in(home) == landing.TakenIn(new=0, known=2, left=1, passed_over=5)
    for batch_id in sources.pending_batches(home):
        intake.load(home, batch_id)
    assert rows(home, "SELECT clinic_id FROM intake_valid ORDER BY 1") == [("north",), ("south",)]


def test_a_file_that_grows_while_it_is_copied_is_left_for_the_next_run(
    home: Home, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = csv_file(HEADER)

    class Growing:
        """A digest during whose work somebody appends to the file."""

        def update(self, _: bytes) -> None:
            with file.open("ab") as appended:
                appended.write(b"x")

        def hexdigest(self) -> str:
            return "0"

    monkeypatch.setattr(archive.hashlib, "sha256", Growing)
    with pytest.raises(archive.StillBeingWritten):
        archive.put(file, home.archive)
    assert list(home.archive.iterdir()) == []


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: p.symlink_to("/etc/hostname"), lambda p: os.mkfifo(p), lambda p: None]
)
def test_what_is_no_plain_file_is_not_read(home: Home, tmp_path: Path, make: Callable[[Path], object]) -> None:
    odd = tmp_path / "odd"
    make(odd)
    with pytest.raises(archive.NotReadable):
        archive.put(odd, home.archive)


def test_a_second_writer_waits_a_bounded_time_and_hears_who_holds_the_lock(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = textwrap.dedent("""
        import sys, time
        from warehouse.home import Home
        from warehouse.lock import holding
        with holding(Home.from_environment(), "test of waiting"):
            print("held", flush=True)
            sys.stdin.readline()
    """)
    monkeypatch.setenv("HIPTRIAGE_LOCK_WAIT_SECONDS", "0.2")
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout and other.stdout.readline() == "held\n"
        with pytest.raises(WarehouseBusy, match=rf"process {other.pid} .*test of waiting"), holding(home, "wait"):
            pass
    finally:
        other.communicate("\n")
    with holding(home, "first"), holding(home, "again in the same process"):
        pass


def test_a_warehouse_of_a_newer_version_is_refused_and_left_alone(home: Home) -> None:
    with opened(home, "test") as connection:
        connection.execute("UPDATE warehouse_version SET version = 99")
    with pytest.raises(WarehouseRefused, match="newer version"), opened(home, "test"):
        pass


def test_an_error_of_the_database_never_quotes_a_value(home: Home) -> None:
    with pytest.raises(WarehouseRefused) as refused, opened(home, "cast") as connection:
        connection.execute("SELECT CAST('CANARY' AS INTEGER)")
    assert "CANARY" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_settings_at_fault_are_named_without_their_value(home: Home) -> None:
    (home.root / "settings.toml").write_text('[clinics.north]\nzone = "CANARY/Nowhere"\n')
    with pytest.raises(SettingsRefused, match=r"clinics\.north\.zone") as refused:
        home.settings()
    assert "CANARY" not in str(refused.value)


versions = st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(20, 21))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(versions, min_size=1, max_size=6), min_size=1, max_size=3))
def test_whatever_arrives_in_whatever_order_the_counts_add_up_and_the_newest_version_is_current(
    home: Home, csv_file: Callable[..., Path], files: list[list[tuple[str, int, int]]]
) -> None:
    home.warehouse.unlink(missing_ok=True)
    kept: dict[tuple[str, int], int] = {}
    for place, records in enumerate(files):
        lines = [f"{key},2026-01-0{day}T10:00:00Z,{age},,{place},\n" for key, day, age in records]
        counts = load(home, csv_file(HEADER + "".join(lines), f"{place}.csv"))
        assert counts.balanced and counts.received == len(records)
        for key, day, age in records:
            kept.setdefault((key, day), age)
    newest = {key: max(day for other, day in kept if other == key) for key, _ in kept}
    expected = sorted((key, kept[key, day]) for key, day in newest.items())
    assert rows(home, "SELECT record_id, age_years FROM intake_current ORDER BY 1") == expected


def test_a_file_that_is_too_much_for_the_machine_stops_no_other_and_can_be_tried_again(
    home: Home, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise duckdb.OutOfMemoryException("r1 Smith")

    with monkeypatch.context() as broken:
        broken.setattr(intake, "decide", out_of_memory)
        counts = load(home, csv_file(HEADER + "a,2026-01-01T10:00:00Z,29,1,,\n"))
    assert counts.refusal == "not_loaded"
    assert "Smith" not in ledger.sentence(counts)
    assert rows(home, "SELECT count(*) FROM intake_valid") == [(0,)]
    assert load(home, csv_file(HEADER + "b,2026-01-01T10:00:00Z,29,1,,\n", "good.csv")).accepted == 1
    assert replay.replay(home, counts.batch_id).released == 1
