"""Outcome and decision files on their way in, and what they do to the published table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.knowledge_files import condition_ids
from schemas.decisions import decision_schema
from schemas.outcomes import nameable_conditions, outcome_schema
from schemas.problems import FileRefused
from schemas.tiers import tiers
from tests.published_home import RULE, about, at, published, score, score_again, take_in
from warehouse import follow_up, intake, landing, ledger
from warehouse.formats.block import Block, Format, Header
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.snapshots import publish
from warehouse.sources import Batch, pending_batches
from warehouse.store import opened, sql_type

NETS = {tier: (f"what to watch for, {tier}",) for tier in tiers()}
DECISION = {"record_id": "a", "decided_at": "2026-02-01T10:00:00Z", "decided_by": "Dr A", "status": "booked"}
OUTCOME = {
    "record_id": "a",
    "submitted_at": "2026-01-05T08:00:00Z",
    "recorded_at": "2026-02-01T10:00:00Z",
    "attended": "yes",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Rows:
    """A source of the given rows; ``broken``: the code of rows that are not well-formed, by place."""

    rows: Sequence[Mapping[str, str | None]]
    columns: tuple[str, ...] = ()
    format: Format = "csv"
    broken: Mapping[int, str] | None = None

    @property
    def header(self) -> Header:
        columns = self.columns or tuple(dict.fromkeys(column for row in self.rows for column in row))
        return Header(",".join(columns), columns, self.format)

    def blocks(self, wanted: Collection[str]) -> Iterator[Block]:
        broken = self.broken or {}
        for start in range(0, len(self.rows), 3):  # more than one block
            rows = self.rows[start : start + 3]
            whole = [place for place in range(len(rows)) if start + place not in broken]
            cells = {c: [rows[place].get(c) for place in whole] for c in wanted}
            bad = {"row": [p for p in range(len(rows)) if p not in whole]}
            bad["code"] = [broken[start + place] for place in bad["row"]]
            yield Block(
                pl.Series("n", range(start + 1, start + len(rows) + 1), dtype=pl.Int64),
                pl.Series("t", [f"text {start + place}" for place in range(len(rows))]),
                pl.DataFrame(cells, dict.fromkeys(wanted, pl.String)).with_columns(
                    pl.Series("row", whole, dtype=pl.UInt32)
                ),
                pl.DataFrame(bad, {"row": pl.UInt32, "code": pl.String}),
            )


def bring(home: Home, source: Rows, clinic: str = "north") -> Reconciled:
    """Load a source as one file of ``clinic``, as ``warehouse.intake`` does."""
    number = next(_numbers)
    batch = Batch(f"{clinic}.{number}", clinic, f"{number:064}", "sample", datetime.now(UTC))
    contents = follow_up.contents_of(source.header.columns)
    assert contents != "intake"
    with opened(home, "test") as connection:
        connection.execute(
            "INSERT INTO intake_file VALUES (?, ?, ?, 'Jane Canary.csv', 'sample', 1, ?)",
            [batch.batch_id, clinic, batch.sha256, batch.received_at],
        )
        counts = follow_up.load(connection, home, batch, source, contents)
        ledger.write(connection, counts, "arrival")
    return counts


def held(home: Home, query: str) -> list[tuple[Any, ...]]:
    with opened(home, "test") as connection:
        return connection.execute(query).fetchall()


def shown(home: Home, query: str) -> list[tuple[Any, ...]]:
    with connect(current_snapshot(home)) as connection:
        return connection.execute(query).fetchall()


CONTENTS = [
    (("record_id", "decided_at", "decided_by", "status"), "decision"),
    (("record_id", "decided_by", "decided_tier"), "decision"),
    (("Record ID", "Decided at", "DECIDED_BY"), "decision"),
    (("record_id", "decided_att", "decided_by"), "decision"),
    (tuple(decision_schema().names), "decision"),
    (tuple(outcome_schema().names), "outcome"),
    (("record_id", "recorded_at", "attended"), "outcome"),
    (("record_id", "recorded_at", "confirmed_condition"), "outcome"),
    (("record_id", "submitted_at", "pain_now"), "intake"),
    (("record_id", "submitted_at", "recorded_at"), "intake"),
    (("record_id", "submitted_at", "pain_now", "decided_at"), "intake"),
    ((), "intake"),
]


@pytest.mark.parametrize(("columns", "contents"), CONTENTS)
def test_a_file_is_recognised_by_its_header(columns: tuple[str, ...], contents: str) -> None:
    assert follow_up.contents_of(columns) == contents


MIXED = [
    ("record_id", "decided_at", "decided_by", "recorded_at", "attended"),
    ("record_id", "decided_at", "attended"),
    ("record_id", "decided_at", "decided_by", "systemic__fever"),
    ("record_id", "submitted_at", "Recorded at", "attended", "pain_noww"),
]


@pytest.mark.parametrize("columns", MIXED)
def test_a_file_of_several_kinds_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(FileRefused) as refused:
        follow_up.contents_of(columns)
    assert refused.value.code == "mixed_contents"
    assert set(refused.value.columns) <= set().union(*follow_up.MARKS.values())


def test_every_row_gets_one_disposition_and_the_counts_add_up(home: Home) -> None:
    later = "2026-02-02T10:00:00Z"
    rows = [
        DECISION | {"weird": "x"},  # accepted
        DECISION | {"weird": "y"},  # the same again
        DECISION | {"status": "seen"},  # the same time, something else
        DECISION | {"decided_at": "2026-01-31T10:00:00Z"},  # older than the newest
        DECISION | {"decided_at": later, "status": "seen"},  # newer
        DECISION | {"status": "gone"},  # cannot be read
        DECISION,  # not well-formed
    ]
    counts = bring(home, Rows(rows, broken={6: "cell_count"}))
    assert (counts.contents, counts.received, counts.accepted, counts.quarantined) == ("decision", 7, 2, 3)
    assert (counts.duplicate, counts.superseded, counts.unknown_columns) == (1, 1, 1)
    found = held(home, "SELECT disposition FROM intake_disposition ORDER BY record_number")
    assert [one for (one,) in found] == [
        "accepted", "duplicate", "quarantined", "superseded", "accepted", "quarantined", "quarantined",
    ]  # fmt: skip
    assert held(home, "SELECT record_number, status FROM decision ORDER BY 1") == [
        (1, "booked"), (4, "booked"), (5, "seen"),
    ]  # fmt: skip
    codes = held(
        home,
        "SELECT record_number, clinic_id, record_id, problems[1].code, problems[1].column_name, problems[1].cell "
        "FROM intake_quarantine ORDER BY 1",
    )
    assert codes == [
        (3, "north", "a", "conflicting_version", None, None),
        (6, "north", "a", "not_a_choice", "status", "gone"),
        (7, None, None, "cell_count", None, None),
    ]
    texts = held(home, "SELECT record_text FROM intake_raw ORDER BY record_number")
    assert [text for (text,) in texts] == [
        "record_id,decided_at,decided_by,status,weird", *(f"text {n}" for n in range(7)),
    ]  # fmt: skip


def test_a_later_file_is_judged_against_the_earlier_one(home: Home) -> None:
    bring(home, Rows([OUTCOME, OUTCOME | {"record_id": "b"}]))
    again = bring(
        home,
        Rows(
            [
                OUTCOME | {"recorded_at": "2026-02-01T12:00:00+02:00"},
                OUTCOME | {"record_id": "b", "harm": "none"},
                OUTCOME | {"recorded_at": "2026-01-31T10:00:00Z"},
            ]
        ),
    )
    assert (again.duplicate, again.quarantined, again.superseded, again.accepted) == (1, 1, 1, 0)
    assert held(home, "SELECT count(*) FROM outcome") == [(3,)]
    assert held(home, "SELECT count(*) FROM decision") == [(0,)]


def test_two_rows_of_one_time_that_do_not_contradict_both_count(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    booked, raised = word(1, "booked"), word(1, tier="emergency") | {"reason": None}
    rows = [{"record_id": "a"} | one for one in (booked, raised, booked, word(1, "seen"), word(1, "booked", "soon"))]
    counts = bring(home, Rows(rows))
    assert (counts.accepted, counts.duplicate, counts.quarantined, counts.warned) == (2, 1, 2, 1)
    again = bring(home, Rows([rows[1], rows[0], {"record_id": "a"} | word(1, tier="urgent")]))
    assert (again.accepted, again.duplicate, again.quarantined) == (0, 2, 1)
    published(home)
    assert shown(home, "SELECT status, effective_tier, decision_reason FROM referrals") == [
        ("booked", "emergency", None)
    ]


def test_an_unknown_record_is_kept_and_told(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    named = [
        DECISION,
        DECISION | {"submitted_at": at(0).isoformat(), "decided_at": "2026-02-02T10:00:00Z"},
        DECISION | {"submitted_at": at(1).isoformat(), "decided_at": "2026-02-03T10:00:00Z"},
        DECISION | {"record_id": "later", "status": "closed"},
        DECISION | {"status": "closed"},  # conflicts with the first: its warning goes with it
        DECISION | {"record_id": "named", "status": "closed", "reason": "examined", "submitted_at": at(0).isoformat()},
        {"record_id": "raised"} | word(20, "closed", "same_day"),
    ]
    counts = bring(home, Rows(named))
    assert (counts.accepted, counts.quarantined, counts.warned) == (6, 1, 4)
    assert held(home, "SELECT record_number, record_id, code FROM intake_warning ORDER BY 1, 3") == [
        (3, "a", "no_such_version"),
        (4, "later", "closed_without_reason"),
        (4, "later", "no_such_record"),
        (6, "named", "no_such_record"),
        (7, "raised", "no_such_record"),
    ]
    # a word that came before its record may have a mistyped id: it hides nobody, unless it names the form that came
    forms = [{"record_id": record, "submitted_at": at(0)} for record in ("later", "named", "raised")]
    take_in(home, "north", forms, tmp_path)
    published(home)
    columns = "record_id, status, effective_tier, review_reason LIKE '%or came in after it%'"
    assert shown(home, f"SELECT {columns} FROM referrals WHERE record_id <> 'a' ORDER BY 1") == [
        ("later", "open", "routine", True),
        ("named", "closed", "routine", None),
        ("raised", "open", "same_day", True),
    ]


@pytest.mark.parametrize("said", ["closed", "seen", "visit"])
def test_a_clock_that_runs_ahead_hides_no_later_form(home: Home, tmp_path: Path, said: str) -> None:
    now = datetime.now(UTC)
    before, ahead, after = now - timedelta(days=3), now + timedelta(hours=10), now + timedelta(hours=1)
    take_in(home, "north", [{"record_id": "a", "submitted_at": before}], tmp_path)
    score(home, lambda _: {"tier": "routine"}, before)
    row = DECISION | {"decided_at": ahead.isoformat(), "status": said, "reason": "examined"}
    if said == "visit":
        row = OUTCOME | {"submitted_at": before.isoformat(), "recorded_at": ahead.isoformat()}
    elif said == "seen":
        row |= {"decided_tier": "same_day"}
    bring(home, Rows([row]))
    publish(home, about=about())
    ((status, effective, decided_at, see_by),) = shown(
        home, "SELECT status, effective_tier, decided_at, see_by FROM referrals"
    )
    assert status == ("closed" if said == "closed" else "seen")
    if said == "seen":  # the clock that was said is shown, and moves no see-by
        assert (effective, decided_at) == ("same_day", ahead)
        assert see_by < ahead + timedelta(hours=24)
    take_in(home, "north", [{"record_id": "a", "submitted_at": after}], tmp_path)
    score(home, lambda _: {"tier": "emergency", "clock_hours": 0.0}, after)
    publish(home, about=about())
    assert shown(home, "SELECT status, effective_tier FROM referrals") == [("open", "emergency")]


REFUSED = [
    (("record_id", "decided_by", "decided_tier"), "north", "missing_column", ("decided_at",)),
    (("record_id", "decided_at", "decided_by"), "", "missing_column", ("clinic_id",)),
    (("record_id", "recorded_at", "attended"), "north", "missing_column", ("submitted_at",)),
    (("record_id", "decided_at", "decided_by", "Status"), "north", "nearly_a_column", ("status",)),
    (("record_id", "Decided at", "decided by"), "north", "nearly_a_column", ("decided_at", "decided_by")),
]


@pytest.mark.parametrize(("columns", "clinic", "code", "named"), REFUSED)
def test_a_file_without_its_columns_is_refused_whole(
    home: Home, columns: tuple[str, ...], clinic: str, code: str, named: tuple[str, ...]
) -> None:
    with pytest.raises(FileRefused) as refused:
        bring(home, Rows([DECISION], columns), clinic)
    assert (refused.value.code, refused.value.columns) == (code, named)
    assert held(home, "SELECT (SELECT count(*) FROM intake_raw), (SELECT count(*) FROM decision)") == [(0, 0)]


def test_rows_that_name_their_clinic(home: Home) -> None:
    rows = [DECISION | {"clinic_id": clinic} for clinic in ("north", "south", "")]
    assert bring(home, Rows(rows), "").accepted == 2
    assert held(home, "SELECT clinic_id FROM decision ORDER BY 1") == [("north",), ("south",)]
    assert bring(home, Rows([rows[1]]), "north").quarantined == 1


def test_true_and_false_of_a_typed_format_are_yes_and_no(home: Home) -> None:
    rows = [OUTCOME | {"attended": word, "record_id": word} for word in ("true", "false")]
    assert bring(home, Rows(rows, format="json")).accepted == 2
    assert held(home, "SELECT record_id, attended FROM outcome ORDER BY 1") == [("false", False), ("true", True)]
    assert bring(home, Rows(rows)).quarantined == 2  # in a CSV file these words are nobody's


@pytest.mark.parametrize(("table", "schema"), [("outcome", outcome_schema()), ("decision", decision_schema())])
def test_the_tables_hold_what_the_contracts_accept(home: Home, table: str, schema: Any) -> None:
    found = held(home, f"SELECT column_name, column_type FROM (DESCRIBE {table})")
    kinds = {name: kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for name, kind in found}
    arrived = {"batch_id", "record_number", "received_at", "content_hash"}
    assert {name: kind for name, kind in kinds.items() if name not in arrived} == {
        field.name: sql_type(field.type) for field in schema
    }


def test_an_outcome_may_name_the_conditions_of_the_catalogue() -> None:
    assert nameable_conditions() == condition_ids()


def test_a_refused_row_is_no_form_that_nobody_read(home: Home, tmp_path: Path) -> None:
    records = [
        {"record_id": record, "submitted_at": at(0), "pain_now": pain} for record, pain in (("a", 1), ("x", "?"))
    ]
    batch_id = take_in(home, "north", records, tmp_path)
    bring(home, Rows([DECISION | {"status": "gone"}]))
    bring(home, Rows([OUTCOME | {"attended": None}]))
    bring(home, Rows([OUTCOME | {"attended": None, "record_id": "b"}]))
    published(home)
    assert shown(home, "SELECT record_id FROM unread_forms") == [("x",)]
    # a batch of an older warehouse says nothing of its contents
    held(home, f"UPDATE intake_ledger SET contents = NULL WHERE batch_id = '{batch_id}'")
    published(home, banner="written again")
    assert shown(home, "SELECT record_id FROM unread_forms") == [("x",)]


def word(day: float, status: str | None = None, tier: str | None = None, on: float | None = None) -> dict[str, Any]:
    """A decision on a day; ``on``: the day of the form version that was on the screen."""
    return {
        "decided_at": at(day).isoformat(),
        "decided_by": f"Dr {day:g}",
        "status": status,
        "decided_tier": tier,
        "reason": "examined" if tier else None,
        "submitted_at": None if on is None else at(on).isoformat(),
    }


def visit(day: float, on: float = 0, attended: str = "yes") -> dict[str, Any]:
    """An outcome written down on a day, about the version of the day ``on``."""
    return {"recorded_at": at(day).isoformat(), "submitted_at": at(on).isoformat(), "attended": attended}


def bring_words(home: Home, words: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Bring what was said about records by id: one file for everybody's first word of a kind, one for the second..."""
    for said in itertools.zip_longest(*words.values()):
        rows = [{"record_id": record} | one for record, one in zip(words, said, strict=True) if one]
        for mark in ("decided_at", "recorded_at"):
            if of_kind := [row for row in rows if mark in row]:
                assert bring(home, Rows(of_kind)).quarantined == 0


SCORED_LATE = {"forms and decision arrived together", "two forms and decision arrived together"}
# name, versions (day, tier; a third entry: tier by the next model), decisions and outcomes in order of arrival,
# status, effective tier, decided by, what the review reason says, see-by in days
CASES: list[tuple[str, list[tuple[Any, ...]], list[dict[str, Any]], str, str, str | None, str | None, float]] = [
    ("nothing said", [(0, "soon")], [], "open", "soon", None, None, 42),
    ("acknowledged", [(0, "soon")], [word(1, "acknowledged")], "acknowledged", "soon", None, None, 42),
    ("the newest stands", [(0, "soon")], [word(1, "acknowledged"), word(2, "booked")],
     "booked", "soon", None, None, 42),
    ("in any order", [(0, "soon")], [word(2, "booked"), word(1, "acknowledged")], "booked", "soon", None, None, 42),
    ("came", [(0, "soon")], [word(1, "booked"), visit(2)], "seen", "soon", None, None, 42),
    ("did not come", [(0, "soon")], [word(1, "booked"), visit(2, attended="no")], "booked", "soon", None, None, 42),
    ("did not come after all", [(0, "soon")], [word(1, "booked"), visit(2), visit(3, attended="no")],
     "booked", "soon", None, None, 42),
    ("booked again after the visit", [(0, "soon")], [visit(2), word(3, "booked")], "booked", "soon", None, None, 42),
    ("closed stays closed", [(0, "soon")], [word(1, "closed"), visit(2)], "closed", "soon", None, None, 42),
    ("taken up again", [(0, "soon")], [word(1, "closed"), word(2, "acknowledged")],
     "acknowledged", "soon", None, None, 42),
    ("lowered below a rule", [(0, "emergency")], [word(1, tier="routine")], "open", "routine", "Dr 1", None, 0),
    ("raised", [(0, "routine")], [word(1, "booked", "same_day")], "booked", "same_day", "Dr 1", None, 2),
    ("raised late", [(0, "soon")], [word(40, tier="urgent")], "open", "urgent", "Dr 40", None, 42),
    ("raised to the clinic's wait", [(0, "self_care")], [word(0.5, tier="routine")], "open", "routine", "Dr 0.5", None,
     28.5),
    ("the newest tier stands", [(0, "soon")], [word(2, tier="routine"), word(1, tier="urgent")],
     "open", "routine", "Dr 2", None, 42),
    ("a status leaves the tier", [(0, "soon")], [word(1, tier="routine"), word(2, "booked")],
     "booked", "routine", "Dr 1", None, 42),
    ("rises", [(0, "soon"), (2, "urgent")], [word(1, "booked", "routine")],
     "open", "urgent", "Dr 1", "rose from soon to urgent", 16),
    ("rises below what was decided", [(0, "routine"), (2, "urgent")], [word(1, "booked", "same_day")],
     "open", "same_day", "Dr 1", "rose from routine to urgent", 2),
    ("decided once more", [(0, "routine")], [word(1, tier="urgent"), word(9, tier="urgent")],
     "open", "urgent", "Dr 9", None, 15),
    ("decided up, and back", [(0, "routine")],
     [word(1, tier="urgent"), word(2, tier="same_day"), word(9, tier="urgent")], "open", "urgent", "Dr 9", None, 15),
    ("decided up, then down", [(0, "self_care")], [word(1, tier="urgent"), word(2, tier="routine")],
     "open", "routine", "Dr 2", None, 29),
    ("decided up late", [(0, "self_care")], [word(1, tier="routine"), word(28, tier="urgent")],
     "open", "urgent", "Dr 28", None, 29),
    ("decided once more on a form less urgent", [(0, "soon"), (5, "routine")],
     [word(1, tier="same_day"), word(6, tier="same_day")], "open", "same_day", "Dr 6", None, 2),
    ("decided once more on a form that reopens", [(0, "soon"), (5, "urgent")],
     [word(1, tier="same_day"), word(6, tier="same_day")], "open", "same_day", "Dr 6", None, 7),
    ("the same again", [(0, "urgent"), (2, "urgent")], [word(1, "closed", "soon")],
     "open", "urgent", "Dr 1", "newer than the last decision again comes to urgent", 14),
    ("seen and the same again", [(0, "urgent"), (3, "urgent")], [visit(2)],
     "open", "urgent", None, "newer than the last visit again comes to urgent", 14),
    ("falls to urgent", [(0, "emergency"), (2, "urgent")], [word(1, "closed", "routine")],
     "open", "urgent", "Dr 1", "newer than the last decision comes to urgent", 14),
    ("urgent in between", [(0, "soon"), (2, "urgent"), (3, "soon")], [word(1, "closed")],
     "open", "soon", None, "newer than the last decision comes to urgent", 42),
    ("a lesser form of a closed one", [(0, "soon"), (2, "soon")], [word(1, "closed")],
     "closed", "soon", None, "newer than the last word on this record comes to soon and leaves it closed", 42),
    ("a lesser form of one seen", [(0, "soon"), (3, "routine")], [visit(2)],
     "seen", "routine", None, "comes to routine and leaves it seen", 28),
    ("a lesser form that was looked at", [(0, "soon"), (2, "soon")], [word(1, "closed"), word(3, tier="routine")],
     "closed", "routine", "Dr 3", None, 42),
    ("falls", [(0, "urgent"), (2, "routine")], [word(1, "booked", "soon")], "booked", "soon", "Dr 1", None, 28),
    ("an emergency again", [(0, "emergency"), (2, "emergency")], [word(1, "closed")],
     "open", "emergency", None, "newer than the last decision again comes to emergency", 0),
    ("an emergency again after lowering", [(0, "emergency"), (2, "emergency")], [word(1, "closed", "routine")],
     "open", "emergency", "Dr 1", "again comes to emergency", 0),
    ("closed and rises", [(0, "soon"), (2, "urgent")], [word(1, "closed")],
     "open", "urgent", None, "rose from soon to urgent", 16),
    ("the rise was acknowledged", [(0, "soon"), (2, "urgent")], [word(1, tier="routine"), word(3, "acknowledged")],
     "acknowledged", "urgent", "Dr 1", "rose from soon to urgent", 16),
    ("the rise was decided on", [(0, "soon"), (2, "urgent")], [word(1, tier="routine"), word(3, tier="routine")],
     "open", "routine", "Dr 3", None, 16),
    ("an old version was on the screen", [(0, "soon"), (2, "emergency")], [word(3, "closed", "routine", on=0)],
     "open", "emergency", "Dr 3", "rose from soon to emergency", 2),
    ("the newest version was meant", [(0, "soon"), (2, "emergency")], [word(3, "closed", "routine")],
     "closed", "routine", "Dr 3", None, 2),
    ("decided before any form", [(5, "soon")], [word(1, "closed", "routine")],
     "open", "soon", "Dr 1", "every form of this record is newer", 47),
    ("rises by another model", [(0, "soon", "urgent")], [word(1, "closed")],
     "open", "urgent", None, "rose from soon to urgent", 14),
    ("falls by another model", [(0, "urgent", "routine")], [word(1, "closed", "soon")],
     "closed", "soon", "Dr 1", None, 28),
    ("forms and decision arrived together", [(0, "urgent")], [word(1, "booked", "soon")],
     "booked", "soon", "Dr 1", None, 14),
    ("two forms and decision arrived together", [(0, "soon"), (1, "emergency")], [word(2, "closed", "routine")],
     "open", "emergency", "Dr 2", "rose from soon to emergency", 1),
    ("seen and rises", [(0, "soon"), (3, "urgent")], [visit(2)],
     "open", "urgent", None, "after the last visit the computed tier rose", 17),
    ("seen after the rise", [(0, "soon"), (2, "urgent")], [word(1, "closed"), visit(3, on=2)],
     "seen", "urgent", None, None, 16),
]  # fmt: skip


assert {case[0] for case in CASES} >= SCORED_LATE


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One record a case, scored by one model on its day and by another, now in force, on day 50."""
    folder = tmp_path_factory.mktemp("decided")
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text("[clinics.north]\nroutine_weeks = 4\n")
    versions = {(f"case{n}", at(day)): rest for n, case in enumerate(CASES) for day, *rest in case[1]}
    take_in(home, "north", [{"record_id": record, "submitted_at": when} for record, when in versions], folder)

    def tier(record: Mapping[str, Any], place: int) -> dict[str, Any]:
        given = versions[record["record_id"], record["submitted_at"]][place]
        return {"tier": given, "clock_hours": tiers()[given].see_by_hours, "red_flags": [RULE]}

    def first(record: Mapping[str, Any]) -> dict[str, Any]:
        late = CASES[int(record["record_id"][4:])][0] in SCORED_LATE
        return tier(record, 0) | {"scored_at": at(30) if late else record["submitted_at"]}

    score(home, first)
    score_again(home, lambda record: tier(record, -1) | {"model_version": "m2"}, at(50))
    bring_words(home, {f"case{n}": case[2] for n, case in enumerate(CASES)})
    publish(home, about=about(model_version="m2", safety_net=NETS))
    return home


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case[0] for case in CASES])
def test_what_is_published_of_a_record(decided: Home, number: int) -> None:
    _, versions, _, status, effective, by, note, see_by = CASES[number]
    columns = "status, effective_tier, decided_by, needs_review, review_reason, tier, red_flags, see_by, safety_net"
    ((found, tier, found_by, review, reason, computed, flags, due, net),) = shown(
        decided, f"SELECT {columns} FROM referrals WHERE record_id = 'case{number}'"
    )
    assert (found, tier, found_by) == (status, effective, by)
    assert computed == versions[-1][-1]
    assert review == (note is not None)
    assert reason is None if note is None else note in reason
    assert flags == [RULE]  # whatever was decided, a fired rule stays in view
    assert due == at(0) + timedelta(days=see_by)
    raised = tiers()[tier].rank < tiers()[computed].rank
    assert net == (list(NETS[tier]) if raised else ["fever: emergency department"])
    on_list = shown(decided, f"SELECT effective_tier, decided_by FROM worklist WHERE record_id = 'case{number}'")
    assert on_list == ([] if status in ("seen", "closed") else [(effective, by)])


def test_the_whole_decision_is_published(decided: Home) -> None:
    number = [case[0] for case in CASES].index("raised")
    columns = "decided_tier, decided_by, decided_at, decision_reason, destination"
    assert shown(decided, f"SELECT {columns} FROM referrals WHERE record_id = 'case{number}'") == [
        ("same_day", "Dr 1", at(1), "examined", "where the deciding clinician says; clinic")
    ]


days = st.integers(0, 8)
said_words = st.one_of(
    st.builds(
        lambda day, status, tier: word(day + 0.5, status, tier or ("soon" if status is None else None)),
        days,
        st.sampled_from([None, "acknowledged", "booked", "closed"]),
        st.sampled_from([None, "emergency", "urgent", "routine"]),
    ),
    st.builds(lambda day: visit(day + 0.5, on=-9), days),
)
histories = st.lists(
    st.tuples(
        st.dictionaries(days, st.sampled_from(list(tiers())), min_size=1, max_size=3),
        st.lists(said_words, max_size=3, unique_by=lambda one: str(one.get("decided_at", one.get("recorded_at")))),
    ),
    min_size=10,
    max_size=20,
)


@settings(max_examples=3, deadline=None)
@given(drawn=histories)
def test_nobody_is_hidden_behind_what_was_said_before(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[dict[int, str], list[dict[str, Any]]]]
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    home = Home(folder / "home")
    records = [
        {"record_id": f"r{n}", "submitted_at": at(day)} for n, (versions, _) in enumerate(drawn) for day in versions
    ]
    take_in(home, "north", records, folder)
    tier_of = {(f"r{n}", at(day)): tier for n, (versions, _) in enumerate(drawn) for day, tier in versions.items()}
    score(
        home,
        lambda record: {
            "tier": tier_of[record["record_id"], record["submitted_at"]],
            "scored_at": record["submitted_at"],
        },
    )
    bring_words(home, {f"r{n}": words for n, (_, words) in enumerate(drawn)})
    publish(home, about=about(safety_net=NETS))
    listed = dict(shown(home, "SELECT record_id, effective_tier FROM worklist"))
    for n, (versions, words) in enumerate(drawn):
        ((status, tier, effective, review),) = shown(
            home, f"SELECT status, tier, effective_tier, needs_review FROM referrals WHERE record_id = 'r{n}'"
        )
        when = [datetime.fromisoformat(one.get("decided_at") or one["recorded_at"]) for one in words]
        named = {one["decided_tier"] for one in words if one.get("decided_tier")}
        assert tier == versions[max(versions)]
        assert effective in named | {tier}
        assert status in {one.get("status") or "seen" for one in words} | {"open"}
        if tiers()[tier].rank <= 2 and all(one < at(max(versions)) for one in when):
            assert tiers()[listed[f"r{n}"]].rank <= tiers()[tier].rank  # nobody judged it yet
        unjudged = [given for day, given in versions.items() if all(one < at(day) for one in when)]
        if any(tiers()[given].rank <= 2 for given in unjudged):
            assert f"r{n}" in listed
        elif unjudged and f"r{n}" not in listed:
            assert review
        if effective != tier and tiers()[effective].rank > tiers()[tier].rank:
            assert any(one > at(min(versions)) for one in when)  # somebody saw a form and decided
        if not words:
            assert (status, effective, review) == ("open", tier, False)


LIFTS = [
    # name, pain of the record's versions by day, day of the decision, status and effective tier wanted
    ("lifted before", [(20, 7)], 21, "closed", "routine"),
    ("lifted before, sent again", [(20, 7), (22, 7)], 21, "closed", "routine"),
    ("lifted since", [(20, 4), (22, 7)], 21, "open", "soon"),
]


def test_a_rise_that_comes_of_the_history(home: Home, tmp_path: Path) -> None:
    rows = []
    for n, (_, versions, *_) in enumerate(LIFTS):
        for record, day, pain in [(f"before{n}", 0, 5), *((f"now{n}", day, pain) for day, pain in versions)]:
            rows.append({"record_id": record, "patient_key": f"p{n}", "submitted_at": at(day), "pain_now": pain})
    take_in(home, "north", rows, tmp_path)
    score(home, lambda record: {"scored_at": record["submitted_at"]})
    said = [{"record_id": f"now{n}"} | word(day, "closed", "routine") for n, (_, _, day, *_) in enumerate(LIFTS)]
    bring(home, Rows(said))
    publish(home, about=about(safety_net=NETS))
    found = shown(
        home, "SELECT tier, status, effective_tier FROM referrals WHERE record_id LIKE 'now%' ORDER BY record_id"
    )
    assert found == [("soon", status, tier) for *_, status, tier in LIFTS]
    assert shown(home, "SELECT count(*) FROM referrals WHERE review_reason LIKE '%rose from routine to soon%'") == [
        (1,)
    ]


def test_what_was_confirmed_of_earlier_records(home: Home, tmp_path: Path) -> None:
    records = [
        {"record_id": r, "patient_key": "p", "submitted_at": at(day)} for r, day in (("a", 0), ("b", 1), ("c", 99))
    ]
    take_in(home, "north", records, tmp_path)
    found = {"confirmed_condition": "labral_tear", "found_by": "imaging"}
    bring(
        home,
        Rows(
            [
                {"record_id": "a"} | visit(2) | found,
                {"record_id": "b"} | visit(2, on=1) | found,
                {"record_id": "b"} | visit(3, on=1) | {"confirmed_condition": None, "found_by": "not_confirmed"},
            ]
        ),
    )
    published(home)
    ((earlier,),) = shown(home, "SELECT earlier_records FROM referrals WHERE record_id = 'c'")
    assert {one["record_id"]: one["confirmed"] for one in earlier} == {"a": "labral_tear", "b": None}


def test_the_model_in_force_at_the_time_counts(home: Home, tmp_path: Path) -> None:
    """A model that was tried and left had scored higher; when it comes back, its tiers are a rise all the same."""
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    score(home, lambda _: {"tier": "routine", "scored_at": at(0)})
    score_again(home, lambda _: {"tier": "urgent", "model_version": "m2"}, at(1))
    changes = [(1, "promote", at(1), "m1", "m2"), (2, "rollback", at(2), "m2", "m1"), (3, "promote", at(9), "m1", "m2")]
    for number, kind, when, before, after in changes:
        held(
            home,
            f"INSERT INTO model_change VALUES ({number}, '{kind}', '{when}', 'x', NULL, 'y', '{before}', false, "
            f"'{after}', false, NULL, '[]')",
        )
    bring(home, Rows([{"record_id": "a"} | word(3, "closed")]))
    publish(home, about=about())
    assert shown(home, "SELECT status, tier FROM referrals") == [("closed", "routine")]
    publish(home, about=about(model_version="m2"))
    assert shown(home, "SELECT status, tier FROM referrals") == [("open", "urgent")]


def test_a_clinic_with_news_is_written_again(home: Home, tmp_path: Path) -> None:
    for clinic in ("north", "south"):
        take_in(home, clinic, [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    assert published(home).linked == 0
    bring(home, Rows([DECISION]))
    assert published(home).linked == 1
    bring(home, Rows([OUTCOME]))
    assert published(home).linked == 1
    assert shown(home, "SELECT clinic_id, status FROM referrals ORDER BY 1") == [("north", "seen"), ("south", "open")]
    bring(home, Rows([DECISION | {"clinic_id": "west"}]), "")
    result = published(home)
    assert (result.linked, result.clinics) == (2, 2)  # a decision without a record makes no clinic


def landed(home: Home, name: str, text: str) -> Reconciled:
    """Land a file in the clinic's folder and load what waits."""
    folder = home.landing / "north"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    landing.take_in(home)
    (batch_id,) = pending_batches(home)
    return intake.load(home, batch_id)


def test_files_land_as_forms_do(home: Home) -> None:
    assert landed(home, "a", "record_id,submitted_at,pain_now\na,2026-01-05T08:00:00Z,3\n").contents == "intake"
    decision = landed(home, "b", "record_id;decided_at;decided_by;status\na;2026-01-06T08:00:00Z;Dr A;booked\n")
    outcome = landed(home, "c", json.dumps([OUTCOME | {"attended": True}]))
    assert (decision.contents, decision.accepted, decision.warned) == ("decision", 1, 0)
    assert (outcome.contents, outcome.accepted, outcome.warned) == ("outcome", 1, 0)
    assert "a file of decisions" in ledger.sentence(decision)
    refused = landed(home, "d", "record_id,decided_at,decided_by,stattus\na,2026-01-07T08:00:00Z,Dr A,booked\n")
    assert (refused.refusal, refused.refusal_columns) == ("nearly_a_column", ("status",))
    mixed = landed(home, "e", "record_id,submitted_at,decided_at,decided_by,status,age_years\na,,,,,30\n")
    assert (mixed.refusal, mixed.received) == ("mixed_contents", 0)
    assert held(home, "SELECT count(*) FROM intake_valid") == [(1,)]
    score(home, lambda record: {"scored_at": record["submitted_at"]})
    publish(home, about=about())
    assert shown(home, "SELECT record_id, status FROM referrals") == [("a", "seen")]
    assert shown(home, "SELECT count(*) FROM worklist") == [(0,)]
