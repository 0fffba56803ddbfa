"""What was refused can be mended and tried again: by a mapping, by a person, and nothing is counted twice or lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse import intake, ledger, replay, sources
from warehouse.home import Home
from warehouse.reading_plan import adopt
from warehouse.store import opened

HEADER = "record_id,submitted_at,age_years,sex,systemic__fever\n"
ROWS = (
    "a,2026-01-02T10:00:00Z,30,female,1\n"
    "b,2026-01-02T10:00:00Z,31,woman,1\n"  # no answer of the form, until a mapping says what it means
    "c,2026-01-02T10:00:00Z,old,woman,0\n"  # stays refused for its age
)
MAPPING = """
name: north-form
version: 1
source: the form of the north clinic
reviewed: true
signed_by: A. Clinician
signed_on: 2026-01-01
columns:
  record_id: {from: record_id}
  submitted_at: {from: submitted_at, date: {order: iso, zone: with_offset}}
  age_years: {from: age_years}
  sex: {from: sex, values: {female: female, male: male, woman: female, man: male}}
  systemic__fever: {from: systemic__fever}
"""


def load(home: Home, file: Path, clinic: str = "north") -> ledger.Reconciled:
    batch, _ = sources.register(home, file, clinic=clinic, data_kind="live")
    return intake.load(home, batch.batch_id)


def rows(home: Home, query: str) -> list[tuple[object, ...]]:
    with opened(home, "test") as connection:
        return connection.execute(query).fetchall()


def test_a_mapping_lets_a_refused_record_in_and_its_arrival_stays_as_it_was(
    home: Home, csv_file: Callable[..., Path]
) -> None:
    arrived = load(home, csv_file(HEADER + ROWS))
    assert (arrived.accepted, arrived.quarantined) == (1, 2)
    assert ledger.state(arrived) == "accepted with 2 quarantined"
    assert replay.replay(home, arrived.batch_id).released == 0

    adopt(home, "north", MAPPING.encode())
    done = replay.replay(home, arrived.batch_id)
    assert (done.tried, done.released, done.still_refused) == (2, 1, 1)
    assert "2 tried again = 1 now read + 1 still refused" in done.sentence
    assert rows(home, "SELECT record_id, sex, age_years FROM intake_current ORDER BY 1") == [
        ("a", "female", 30), ("b", "female", 31),
    ]  # fmt: skip
    assert ledger.counts_of(home, arrived.batch_id) == arrived
    assert rows(home, "SELECT record_number, problems[1].code FROM intake_waiting") == [(3, "not_a_whole_number")]
    ledger_rows = "SELECT event, received, accepted, quarantined, read_as FROM intake_ledger ORDER BY happened_at"
    assert rows(home, ledger_rows) == [
        ("arrival", 3, 1, 2, "form"),
        ("replay", 2, 0, 2, "form"),
        ("replay", 2, 1, 1, "north-form version 1"),
    ]
    assert rows(home, "SELECT mapping FROM intake_mapping JOIN intake_read_with USING (sha256)") == [
        ("north-form version 1",)
    ]


def test_a_record_read_in_a_replay_is_compared_with_what_came_since(home: Home, csv_file: Callable[..., Path]) -> None:
    arrived = load(home, csv_file(HEADER + ROWS))
    load(home, csv_file(HEADER + "b,2026-01-03T10:00:00Z,31,female,0\n", "newer.csv"))
    adopt(home, "north", MAPPING.encode())
    assert replay.replay(home, arrived.batch_id).released == 1
    assert rows(home, "SELECT disposition FROM intake_release WHERE how = 'replayed'") == [("superseded",)]
    assert rows(home, "SELECT systemic__fever FROM intake_current WHERE record_id = 'b'") == [(False,)]


def test_a_file_refused_whole_loads_once_its_mapping_is_there(home: Home, csv_file: Callable[..., Path]) -> None:
    refused = load(home, csv_file("Id,When,Fever\na,2026-01-02T10:00:00Z,yes\n"))
    assert ledger.state(refused) == "refused whole"
    assert replay.waiting(home) == [refused.batch_id]
    still = replay.replay(home, refused.batch_id)
    assert (still.refusal, still.released) == ("no_header", 0)
    adopt(
        home,
        "north",
        b"""
name: other-names
version: 2
source: another tool
reviewed: true
columns:
  record_id: {from: Id}
  submitted_at: {from: When, date: {order: iso, zone: with_offset}}
  systemic__fever: {from: Fever, values: {"yes": "1", "no": "0"}}
""",
    )
    assert replay.replay(home, refused.batch_id).released == 1
    assert rows(home, "SELECT record_id, systemic__fever FROM intake_current") == [("a", True)]
    assert replay.waiting(home) == []
    with pytest.raises(replay.NothingQuarantined):
        replay.replay(home, refused.batch_id)


def test_a_person_who_dealt_with_a_form_takes_it_off_the_list_and_nothing_is_deleted(
    home: Home, csv_file: Callable[..., Path]
) -> None:
    arrived = load(home, csv_file(HEADER + ROWS))
    replay.dismiss(home, arrived.batch_id, 3, by="A. Nurse", reason="telephoned")
    assert rows(home, "SELECT record_number FROM intake_waiting") == [(2,)]
    assert rows(home, "SELECT count(*) FROM intake_quarantine") == [(2,)]
    assert rows(home, "SELECT how, by_name, reason FROM intake_release") == [("dismissed", "A. Nurse", "telephoned")]
    with pytest.raises(replay.NothingQuarantined):
        replay.dismiss(home, arrived.batch_id, 3, by="A. Nurse", reason="telephoned")


def test_a_mended_file_is_a_new_file_and_what_was_read_before_is_a_duplicate(
    home: Home, csv_file: Callable[..., Path]
) -> None:
    load(home, csv_file(HEADER + ROWS))
    mended = load(home, csv_file(HEADER + ROWS.replace("woman", "female").replace("old", "33"), "mended.csv"))
    assert (mended.accepted, mended.duplicate, mended.quarantined) == (2, 1, 0)
    assert ledger.state(mended) == "clean"
    again = load(home, csv_file(HEADER + ROWS.replace("woman", "female").replace("old", "33") + "\n", "again.csv"))
    assert ledger.state(again) == "nothing new"


def test_a_replay_that_is_refused_half_way_keeps_nothing(home: Home, tmp_path: Path) -> None:
    good = pa.table({"record_id": [f"r{n}" for n in range(40)], "submitted_at": ["2026-01-02T10:00:00Z"] * 40})
    file = tmp_path / "damaged"
    pq.write_table(good, file, row_group_size=10, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(file.read_bytes())
    place = content.rindex(b"r35")
    content[place + 2] ^= 1
    file.write_bytes(content)
    refused = load(home, file)
    assert refused.refusal == "broken_file"
    for _ in range(2):
        assert replay.replay(home, refused.batch_id).refusal == "broken_file"
    tables = ("intake_raw", "intake_valid", "intake_disposition")
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    assert rows(home, f"SELECT {counts}") == [(0, 0, 0)]
