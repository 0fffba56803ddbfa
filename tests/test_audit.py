"""The audit: what enters it, that tampering shows, and that nothing is decided by a clock that went back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.commands.audit import audit as audit_command
from tests.published_home import about, at, published, score, take_in
from warehouse import audit, model_history, replay, snapshots
from warehouse.checkup import check_home
from warehouse.home import Home
from warehouse.intake import load
from warehouse.model_history import Change
from warehouse.model_pointer import InForce
from warehouse.published_state import holds_everything, holds_last_change
from warehouse.scores import Versions
from warehouse.snapshot_reading import current_snapshot
from warehouse.snapshots import NotReinstated, publish, reinstate
from warehouse.sources import register
from warehouse.store import opened
from warehouse.withdrawing import erasure, withdrawal
from warehouse.withdrawing.search import Named, look
from warehouse.withdrawing.terms import Agreed

BY_THESE = Versions("m1", "c1", "r1", "k1")
CHANGE = Change(
    kind="promote", by="Ada", second="Ben", reason="better", before=InForce("m0"), after=InForce("m1"), gates="[]"
)
ENTERED = [
    # event, subject begins with, by, part of the reason
    ("arrival", "north.", None, ""),
    ("refused", "north.", None, "no_header"),
    ("arrival", "south.", None, ""),
    ("publication", "20", None, ""),
    ("dismissal", "north.", "Cy", "not_a_patient"),
    ("promote", "m1", "Ada", "better"),
    ("publication", "20", None, ""),
    ("withdrawal", "1", "Dr Adams", "restrict: patient_request"),
    ("withdrawal", "2", "Dr Adams", "lift: other"),
    ("withdrawal", "3", "Dr Adams", "erase: patient_request"),
    ("publication", "20", None, ""),
]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which everything happened that is entered, three times published."""
    folder = tmp_path_factory.mktemp("lived")
    home = Home(folder / "home")
    home.ensure()
    home.root.chmod(0o700)
    rows = [{"record_id": name, "submitted_at": at(0)} for name in ("a", "b")]
    batch = take_in(home, "north", [*rows, {"record_id": "bad", "submitted_at": at(0), "pain_now": "x"}], folder)
    _refuse(home, folder)
    take_in(home, "south", rows[:1], folder)
    published(home)
    replay.dismiss(home, batch, 3, by="Cy", reason="not_a_patient")
    model_history.enter(home, CHANGE)
    model_history.enter_published(home, published(home).snapshot_id)
    for how, reason in (("restrict", "patient_request"), ("lift", "other"), ("erase", "patient_request")):
        with opened(home, "withdraw for a test") as connection:
            found = look(connection, home, Named("north", "a"), in_files=how == "erase")
            getattr(withdrawal, how)(connection, home, found, Agreed("Dr Adams", reason))
    published(home)
    return home


@pytest.fixture
def copied(lived: Home, tmp_path: Path) -> Home:
    shutil.copytree(lived.root, tmp_path / "copy", symlinks=True)
    return Home(tmp_path / "copy")


def _refuse(home: Home, folder: Path) -> None:
    file = folder / "empty.csv"
    file.write_text("nothing,of,ours\n1,2,3\n", "utf-8")
    batch, _ = register(home, file, clinic="north", data_kind="sample")
    assert load(home, batch.batch_id).refusal == "no_header"


def entries(home: Home) -> list[audit.Entry]:
    with opened(home, "read for a test") as connection:
        return list(audit.entries(connection))


def execute(home: Home, *statements: str) -> None:
    with opened(home, "tamper for a test") as connection:
        for statement in statements:
            connection.execute(statement)


def wrong(home: Home) -> list[str]:
    return [finding.sentence for finding in check_home(home) if finding.state == "wrong"]


def test_every_change_is_entered_with_who_and_why_and_no_identity(lived: Home) -> None:
    found = entries(lived)
    assert [entry.event for entry in found] == [event for event, *_ in ENTERED]
    for entry, (_, subject, by, reason) in zip(found, ENTERED, strict=True):
        assert entry.subject.startswith(subject)
        assert entry.by_name == (by or audit.account())
        assert reason in entry.reason
    assert found[5].second_name == "Ben"
    first = json.loads(found[3].counts)
    assert (first["routine"], first["emergency"], first["clinics"]) == (3, 0, 2)
    assert json.loads(found[0].counts)["quarantined"] == 1
    assert json.loads(found[9].counts) == {"records": 1, "arrivals": 1, "files": 1}
    assert wrong(lived) == []  # the erasure wrote the warehouse anew, and the chain is whole


def test_an_entry_goes_with_the_change_that_it_is_about(copied: Home, tmp_path: Path) -> None:
    before = entries(copied)
    with pytest.raises(RuntimeError), opened(copied, "fail for a test") as connection:
        audit.enter(connection, "override", subject="x")
        raise RuntimeError
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warehouse.ledger.audit.enter", _fails)
        with pytest.raises(RuntimeError):
            take_in(copied, "north", [{"record_id": "late", "submitted_at": at(5)}], tmp_path)
    assert entries(copied) == before
    with opened(copied, "count for a test") as connection:
        assert connection.execute("SELECT count(*) FROM intake_valid WHERE record_id = 'late'").fetchall() == [(0,)]


def _fails(*_: Any, **__: Any) -> None:
    raise RuntimeError


TAMPERED = [
    # name, statements, the first broken entry
    ("changed", ["UPDATE audit SET by_name = 'Eve' WHERE entry_number = 6"], 6),
    ("deleted", ["DELETE FROM audit WHERE entry_number = 5"], 5),
    ("the first deleted", ["DELETE FROM audit WHERE entry_number = 1"], 1),
    ("the tail cut", ["DELETE FROM audit WHERE entry_number > 9"], 10),
    ("all gone", ["DELETE FROM audit"], 1),
    (
        "two in each other's place",
        [
            "UPDATE audit SET entry_number = 100 WHERE entry_number = 2",
            "UPDATE audit SET entry_number = 2 WHERE entry_number = 3",
            "UPDATE audit SET entry_number = 3 WHERE entry_number = 100",
        ],
        2,
    ),
]


@pytest.mark.parametrize(("statements", "entry"), [case[1:] for case in TAMPERED], ids=[case[0] for case in TAMPERED])
def test_the_first_broken_entry_is_told(copied: Home, statements: list[str], entry: int) -> None:
    for statement in statements:
        execute(copied, statement)
    assert wrong(copied) == [f"the audit is not as it was written: entry {entry} is the first that is broken"]


def test_a_chain_written_anew_does_not_fit_the_snapshots(copied: Home) -> None:
    """Whoever can write the warehouse can make the chain whole again, but not as the manifests have it."""
    held = entries(copied)
    execute(copied, "DELETE FROM audit")
    with opened(copied, "tamper for a test") as connection:
        for entry in held:
            reason = "another" if entry.entry_number == 6 else entry.reason
            audit.enter(connection, entry.event, subject=entry.subject, by=entry.by_name, reason=reason)
        assert audit.first_broken(connection, {}) is None
    # the one snapshot that the erasure left
    assert wrong(copied) == ["the audit is not as it was written: entry 11 is the first that is broken"]


def test_a_manifest_that_was_changed_is_not_what_was_entered(copied: Home) -> None:
    snapshot = current_snapshot(copied)
    file = snapshot.path / "manifest.json"
    file.chmod(0o600)
    file.write_text(json.dumps({**json.loads(file.read_text()), "training": "on real patients"}))
    assert wrong(copied) == [f"snapshots that are not what the audit says was published: {snapshot.id}"]


def test_a_home_from_before_starts_its_chain_at_its_first_entry(copied: Home) -> None:
    execute(copied, "DROP TABLE audit", "DELETE FROM warehouse_version", "INSERT INTO warehouse_version VALUES (3)")
    for file in copied.snapshots.glob("*/manifest.json"):
        file.chmod(0o600)
        said = json.loads(file.read_text())
        file.write_text(json.dumps({name: said[name] for name in said if name not in ("audit", "scores")}))
    assert wrong(copied) == []
    assert not holds_last_change(copied, BY_THESE)  # nobody can say, so it is published again
    published(copied)
    (entry,) = entries(copied)
    assert (entry.entry_number, entry.previous_hash, entry.event) == (1, audit.BEGINNING, "publication")
    assert wrong(copied) == [] and holds_everything(copied, BY_THESE)


def test_the_command_lists_the_last_entries(lived: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIPTRIAGE_HOME", str(lived.root))
    listed = json.loads(CliRunner().invoke(audit_command, ["--limit", "3", "--format", "json"]).stdout)
    assert [(entry["entry_number"], entry["event"]) for entry in listed] == [
        (9, "withdrawal"),
        (10, "withdrawal"),
        (11, "publication"),
    ]
    every = CliRunner().invoke(audit_command, ["--format", "csv"]).stdout.splitlines()
    assert len(every) == 1 + len(ENTERED) and every[0].startswith("entry_number,happened_at,event,subject")
    assert "11 of 11 entries" in CliRunner().invoke(audit_command, []).stdout


@pytest.fixture
def yesterday(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Sets the clock of every module that writes a time back by two days."""

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - timedelta(days=2)

    def set_back() -> None:
        for module in ("ledger", "audit", "snapshots", "snapshot_reading", "model_history", "replay", "sources"):
            monkeypatch.setattr(f"warehouse.{module}.datetime", Earlier, raising=False)
        for module in ("erasure", "withdrawal"):
            monkeypatch.setattr(f"warehouse.withdrawing.{module}.datetime", Earlier)

    return set_back


def test_a_change_is_unpublished_also_when_the_clock_went_back(
    copied: Home, tmp_path: Path, yesterday: Callable[[], None]
) -> None:
    assert holds_everything(copied, BY_THESE)
    yesterday()
    assert current_snapshot(copied).stale  # from the future: nobody knows how old it is
    assert not holds_everything(copied, BY_THESE)
    assert holds_last_change(copied, BY_THESE)
    take_in(copied, "north", [{"record_id": "new", "submitted_at": at(1)}], tmp_path)
    assert not holds_last_change(copied, BY_THESE)
    score(copied, scored_at=at(-30))
    assert not holds_last_change(copied, BY_THESE)
    publish(copied, about=about())
    assert holds_everything(copied, BY_THESE)
    score_of_nobody = "INSERT INTO referral_score SELECT * REPLACE ('x' AS intake_hash) FROM referral_score LIMIT 1"
    execute(copied, score_of_nobody)  # as a record that was scored anew after the publication
    assert not holds_last_change(copied, BY_THESE)


def test_what_only_tells_of_a_publication_is_no_news(copied: Home) -> None:
    with opened(copied, "enter for a test") as connection:
        for event in ("publication", "override", "purge", "shadow"):
            audit.enter(connection, event, subject="x")
    assert holds_everything(copied, BY_THESE)


def test_a_snapshot_is_gone_back_to_by_numbers_and_not_by_times(
    copied: Home, tmp_path: Path, yesterday: Callable[[], None]
) -> None:
    first = current_snapshot(copied).id
    versions = {"model_version": "m1", "code_version": "0.1.0"}
    yesterday()
    second = published(copied).snapshot_id
    assert second < first and current_snapshot(copied).manifest["previous"] == first
    reinstate(copied, first, versions)
    assert current_snapshot(copied).id == first
    assert entries(copied)[-1].subject == first and entries(copied)[-1].event == "publication"
    assert wrong(copied) == []
    take_in(copied, "north", [{"record_id": "new", "submitted_at": at(1)}], tmp_path)
    with pytest.raises(NotReinstated, match="new forms came in"):
        reinstate(copied, second, versions)


def test_a_withdrawal_ends_and_retention_keeps_the_newest_when_the_clock_went_back(
    copied: Home, yesterday: Callable[[], None]
) -> None:
    (copied.root / "settings.toml").write_text("snapshots_kept = 2\nsnapshot_days = 0\n")
    yesterday()
    second = published(copied).snapshot_id
    with opened(copied, "withdraw for a test") as connection:
        found = look(connection, copied, Named("north", "b"), in_files=False)
        withdrawal.restrict(connection, copied, found, Agreed("Dr Adams", "other"))
    third = published(copied).snapshot_id
    assert not erasure.unfinished(copied)  # and so no snapshot is left that shows it
    assert {entry.name for entry in copied.snapshots.iterdir()} == {third, "current"}
    fourth, fifth = published(copied).snapshot_id, published(copied).snapshot_id
    assert {entry.name for entry in copied.snapshots.iterdir()} == {fourth, fifth, "current"}
    assert second < third < fourth < fifth


def test_a_killed_publication_leaves_an_entry_and_the_next_one_its_own(copied: Home) -> None:
    before, number = current_snapshot(copied).id, len(entries(copied))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "_swap_pointer", _fails)
        with pytest.raises(RuntimeError):
            published(copied)
    assert current_snapshot(copied).id == before and len(entries(copied)) == number + 1
    assert wrong(copied) == []
    published(copied)
    assert len(entries(copied)) == number + 2 and wrong(copied) == []
    assert datetime.now(UTC) - current_snapshot(copied).published_at < timedelta(minutes=5)
