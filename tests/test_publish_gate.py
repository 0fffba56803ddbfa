"""The publish gate: what stops a publication, what only keeps a tier up, and who may let it down."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.publish_limits import PublishLimitsFile, publish_limits
from pipelines.commands.run import run
from pipelines.commands.worklist import worklist
from pipelines.defs.publishing import snapshot as snapshot_asset
from pipelines.model_in_force import basis_in_force
from pipelines.published_about import about as publication_of
from pipelines.showing import gate_told
from schemas.snapshot_tables import published_columns
from tests.assets_in_turn import loaded_scored_and_published
from tests.published_home import about, at, mark_unread, published, score, score_again, take_in
from warehouse import audit, clinic_files, model_history, publication
from warehouse.checkup import check_home
from warehouse.home import Home
from warehouse.model_history import Change
from warehouse.model_pointer import InForce
from warehouse.publish_gate import Override, PublicationHeld, agreed
from warehouse.published_state import holds_everything
from warehouse.scores import Versions
from warehouse.snapshot_reading import SnapshotMissing, connect, current_snapshot
from warehouse.snapshots import Published, publish
from warehouse.store import DAMAGED, GONE, WarehouseRefused, opened
from warehouse.tier_gate import NAME, Lowered, PublishLimits

TIERS = {"emer": "emergency", "same": "same_day", "urge": "urgent", "rout": "routine"}
LIMITS = PublishLimits(share_at_most=0.5, least_records=4)
ADA = Override("Ada", "the new rule is right")
M2 = about(model_version="m2")


@pytest.fixture(scope="module")
def tiered(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published table with a record of each of TIERS in clinic north, and one in clinic south."""
    folder = tmp_path_factory.mktemp("tiered")
    home = Home(folder / "home")
    home.ensure()
    home.root.chmod(0o700)
    take_in(home, "north", [{"record_id": record, "submitted_at": at(0)} for record in TIERS], folder)
    take_in(home, "south", [{"record_id": "far", "submitted_at": at(0)}], folder)
    score(home, lambda record: {"tier": TIERS.get(record["record_id"], "soon")})
    publish(home, about=about())
    return home


@pytest.fixture
def copied(tiered: Home, tmp_path: Path) -> Home:
    shutil.copytree(tiered.root, tmp_path / "copy", symlinks=True)
    return Home(tmp_path / "copy")


def scored_by_m2(home: Home, now: Mapping[str, str]) -> None:
    """Another model scored everybody: some records get another tier, the others keep theirs."""
    score_again(
        home,
        lambda row: {"model_version": "m2", "tier": now.get(row["record_id"], row["tier"]), "clock_hours": None},
        at(9),
    )


def shown(home: Home) -> dict[str, tuple[str, str]]:
    """Tier and model of every record in the current table."""
    with connect(current_snapshot(home)) as connection:
        rows = connection.execute("SELECT record_id, tier, model_version FROM referrals").fetchall()
    return {record: (tier, model) for record, tier, model in rows}


def state_of(result: Published) -> str:
    """What the gate said of the tiers."""
    return next(finding.state for finding in result.gate if finding.name == NAME)


def events(home: Home) -> list[tuple[str, str, str]]:
    with opened(home, "read for a test") as connection:
        return [(entry.event, entry.by_name, entry.reason) for entry in audit.entries(connection)]


def test_a_lowered_emergency_keeps_its_tier_and_a_new_one_is_shown(copied: Home, tmp_path: Path) -> None:
    scored_by_m2(copied, {"emer": "routine", "rout": "emergency"})
    take_in(copied, "north", [{"record_id": "new", "submitted_at": at(8)}], tmp_path)
    score(copied, lambda _: {"tier": "emergency", "model_version": "m2"})
    result = publish(copied, about=M2, limits=LIMITS)
    assert (state_of(result), result.kept) == ("held", 1)
    assert shown(copied) == {
        "emer": ("emergency", "m1"),  # stays what it was, by the score that it had
        "same": ("same_day", "m2"),
        "urge": ("urgent", "m2"),
        "rout": ("emergency", "m2"),  # a rise is never held back
        "new": ("emergency", "m2"),
        "far": ("soon", "m2"),
    }
    with connect(current_snapshot(copied)) as connection:
        found = connection.execute("SELECT needs_review, review_reason FROM referrals WHERE record_id = 'emer'")
        ((review, reason),) = found.fetchall()
    assert review and "it keeps its earlier tier until somebody lets the lower one pass" in reason


def test_what_is_held_stays_told_until_somebody_lets_it_pass(copied: Home, tmp_path: Path) -> None:
    scored_by_m2(copied, {"emer": "routine"})
    publish(copied, about=M2, limits=LIMITS)
    take_in(copied, "south", [{"record_id": "more", "submitted_at": at(8)}], tmp_path)
    score(copied, lambda _: {"model_version": "m2"})
    again = publish(copied, about=M2, limits=LIMITS)
    assert again.linked == 1 and (state_of(again), again.kept) == ("held", 1)  # north is linked, and told all the same
    wrong = [finding.sentence for finding in check_home(copied) if finding.state == "wrong"]
    assert wrong == [
        "the publish gate is red: 1 rows keep an earlier, more urgent tier until somebody lets the lower one pass: "
        "hiptriage run --override-reason TEXT --by NAME"
    ]
    told = CliRunner().invoke(worklist, ["--format", "csv"], env={"HIPTRIAGE_HOME": str(copied.root)})
    assert "HELD: 1 row keeps its earlier, more urgent tier" in told.stderr
    last = publish(copied, about=M2, limits=LIMITS, override=ADA)
    assert (state_of(last), last.kept) == ("overridden", 0)
    assert shown(copied)["emer"] == ("routine", "m2")
    *_, override, publication_ = events(copied)
    assert override == ("override", "Ada", "the new rule is right")
    assert publication_[0] == "publication" and "let pass with a name and a reason" in publication_[2]
    assert state_of(publish(copied, about=M2, limits=LIMITS)) == "passed"


def test_a_change_of_model_with_names_is_the_override_of_its_first_publication(copied: Home) -> None:
    scored_by_m2(copied, {"emer": "routine"})
    before, after = InForce("m1"), InForce("m2")
    model_history.enter(
        copied, Change(kind="promote", by="Ada", second="Ben", reason="better", before=before, after=after)
    )
    result = publish(copied, about=M2, limits=LIMITS)
    model_history.enter_published(copied, result.snapshot_id)
    assert (state_of(result), result.kept) == ("overridden", 0)
    event, _, reason = events(copied)[-1]
    assert event == "publication" and "let pass by the promote that is published with them" in reason
    score_again(copied, lambda row: {"model_version": "m3", "tier": "routine", "clock_hours": None}, at(12))
    later = publish(copied, about=about(model_version="m3"), limits=LIMITS)
    assert state_of(later) == "held"  # and of no later one
    assert shown(copied)["same"] == ("same_day", "m2")


def test_a_change_of_model_lets_nothing_pass_that_other_rules_lower(copied: Home) -> None:
    score_again(
        copied,
        lambda row: {"rules_version": "r2"} | ({"tier": "routine"} if row["record_id"] == "emer" else {}),
        at(9),
    )
    assert publish(copied, about=about(rules_version="r2"), limits=LIMITS).kept == 1
    score_again(copied, lambda row: {"model_version": "m2", "rules_version": "r2"}, at(10))
    word = Change(kind="suspend", by="Ada", reason="odd", before=InForce("m1"), after=InForce("m2"))
    model_history.enter(copied, word)
    result = publish(copied, about=about(model_version="m2", rules_version="r2"), limits=LIMITS)
    assert (state_of(result), result.kept, shown(copied)["emer"][0]) == ("held", 1, "emergency")


@pytest.mark.parametrize("damaged", ["north.parquet", "manifest.json", "../current"])
def test_a_damaged_snapshot_lets_no_tier_down(copied: Home, damaged: str) -> None:
    scored_by_m2(copied, {"emer": "routine"})
    publish(copied, about=M2, limits=LIMITS)
    file = current_snapshot(copied).path / damaged
    file.chmod(0o600)
    file.write_bytes(b"broken")
    result = publish(copied, about=M2, limits=LIMITS)
    assert (state_of(result), result.kept, shown(copied)["emer"]) == ("held", 1, ("emergency", "m1"))


def test_what_was_held_stays_held_where_few_records_are_published_anew(home: Home, tmp_path: Path) -> None:
    for clinic, records in (("north", 6), ("south", 2)):
        rows = [{"record_id": f"{clinic}{number}", "submitted_at": at(0)} for number in range(records)]
        take_in(home, clinic, rows, tmp_path)
    score(home, lambda _: {"tier": "urgent"})
    publish(home, about=about())
    score_again(home, lambda _: {"model_version": "m2", "tier": "routine"}, at(9))
    assert publish(home, about=M2, limits=LIMITS).kept == 8
    take_in(home, "south", [{"record_id": "more", "submitted_at": at(8)}], tmp_path)
    score(home, lambda _: {"model_version": "m2"})
    assert publish(home, about=M2, limits=LIMITS).kept == 8  # the two of south alone are too few to say
    assert shown(home)["south1"] == ("urgent", "m1")


def test_what_a_clinician_says_of_a_held_row_stands(copied: Home, tmp_path: Path) -> None:
    scored_by_m2(copied, {"emer": "routine"})
    publish(copied, about=M2, limits=LIMITS)
    decided = {"record_id": "emer", "submitted_at": at(0), "decided_at": at(20), "decided_by": "Ada", "status": "seen"}
    take_in(copied, "north", [decided], tmp_path)
    assert publish(copied, about=M2, limits=LIMITS).kept == 1
    with connect(current_snapshot(copied)) as connection:
        found = connection.execute("SELECT tier, status FROM referrals WHERE record_id = 'emer'").fetchall()
    assert found == [("emergency", "seen")]


def test_a_refused_form_that_no_rule_looked_at_leaves_something_to_publish(copied: Home, tmp_path: Path) -> None:
    versions = Versions("m1", "c1", "r1", "k1")
    take_in(copied, "north", [{"record_id": "bad", "submitted_at": "yesterday"}], tmp_path)
    publish(copied, about=about(), limits=LIMITS)  # by a run that looked before this batch was loaded
    assert not holds_everything(copied, versions)
    mark_unread(copied, {"bad": "emergency"})
    assert not holds_everything(copied, versions)  # looked at, and killed before the publication
    publish(copied, about=about(), limits=LIMITS)
    assert holds_everything(copied, versions)


def test_a_clinicians_decision_a_corrected_and_a_withdrawn_record_are_not_held(copied: Home, tmp_path: Path) -> None:
    take_in(copied, "north", [{"record_id": "emer", "submitted_at": at(1), "pain_now": 1}], tmp_path)
    score(copied)
    with opened(copied, "withdraw for a test") as connection:
        connection.execute("INSERT INTO withdrawn_record VALUES ('north', 'same', 'restrict', now())")
    result = publish(copied, about=about(), limits=LIMITS)
    assert state_of(result) == "passed"
    assert {record: tier for record, (tier, _) in shown(copied).items()} == {
        "emer": "routine",
        "urge": "urgent",
        "rout": "routine",
        "far": "soon",
    }


SHARES = [
    # name, lowered to self_care, limits, held
    ("within the share", {"urge"}, PublishLimits(share_at_most=0.5, least_records=4), False),
    ("beyond the share", {"urge", "rout", "far"}, PublishLimits(share_at_most=0.5, least_records=4), True),
    ("too few to say", {"urge", "rout", "far"}, PublishLimits(share_at_most=0.5, least_records=6), False),
    ("without limits", {"rout"}, None, True),
    ("one same_day", {"same"}, PublishLimits(share_at_most=0.9, least_records=1), True),
    ("one same_day, allowed", {"same"}, PublishLimits(share_at_most=0.9, from_same_day_at_most=1), False),
]


@pytest.mark.parametrize(("lowered", "limits", "held"), [case[1:] for case in SHARES], ids=[case[0] for case in SHARES])
def test_the_limits(copied: Home, lowered: set[str], limits: PublishLimits | None, held: bool) -> None:
    scored_by_m2(copied, dict.fromkeys(lowered, "self_care"))
    result = publish(copied, about=M2, limits=limits)
    assert (state_of(result) == "held") == held
    assert result.kept == (len(lowered) if held else 0)


COUNTS = st.integers(0, 200)


@given(unchanged=COUNTS, emergency=COUNTS, same_day=COUNTS, others=COUNTS, one_more=COUNTS)
def test_more_lowered_records_never_pass_where_fewer_are_held(
    unchanged: int, emergency: int, same_day: int, others: int, one_more: int
) -> None:
    limits = PublishLimits(share_at_most=0.02, least_records=100)

    def judged(more: int) -> bool:
        lowered = emergency + same_day + others + more
        counts = {"from_emergency": emergency, "from_same_day": same_day}
        return Lowered(unchanged=unchanged, lowered=lowered, **counts).beyond(limits)

    assert judged(one_more) >= judged(0)
    if emergency or same_day:
        assert judged(0)


WRONG_FILES: list[tuple[str, str, str]] = [
    # name of the finding, statement on the clinic's tables just before they are written to Parquet, what is found
    ("columns", "ALTER TABLE clinic_file.referrals ADD COLUMN notes VARCHAR", "referrals.notes"),
    ("columns", "ALTER TABLE clinic_file.lineage ADD COLUMN original_name VARCHAR", "lineage.original_name"),
    ("columns", "CREATE TABLE clinic_file.cells AS SELECT 'x' AS cell", "cells.cell"),
    ("columns", "ALTER TABLE clinic_file.referrals ALTER age_years TYPE VARCHAR", "referrals.age_years"),
    ("records", "DELETE FROM clinic_file.referrals WHERE record_id = 'emer'", "1 missing"),
    (
        "records",
        "INSERT INTO clinic_file.referrals FROM clinic_file.referrals WHERE record_id = 'emer'",
        "1 more than once",
    ),
    ("records", "UPDATE clinic_file.referrals SET record_id = 'else' WHERE record_id = 'emer'", "1 missing, 1 of no"),
    ("records", "UPDATE clinic_file.referrals SET intake_hash = 'x' WHERE record_id = 'emer'", "1 not the current"),
    ("records", "UPDATE clinic_file.referrals SET rules_version = 'r0'", "4 not scored anew"),
    ("emergency rules", "UPDATE clinic_file.referrals SET rule_status = rule_status[2:]", "4 rows without"),
    ("emergency rules", "UPDATE clinic_file.referrals SET rule_status = NULL WHERE record_id = 'emer'", "1 rows"),
]


@pytest.mark.parametrize(("name", "statement", "found"), WRONG_FILES)
def test_wrong_files_are_never_published_whoever_says_so(
    copied: Home, monkeypatch: pytest.MonkeyPatch, name: str, statement: str, found: str
) -> None:
    take_in_news(copied)
    before, entered = current_snapshot(copied).id, len(events(copied))
    _spoil(monkeypatch, statement)
    with pytest.raises(PublicationHeld) as held:
        publish(copied, about=about(emergency_rules=("septic", "cauda")), limits=LIMITS, override=ADA)
    (finding,) = [finding for finding in held.value.findings if finding.state == "held"]
    assert finding.name == name and found in finding.found and finding.next_step
    assert name in str(held.value) and "emer" not in str(held.value).replace("emergency", "")
    assert current_snapshot(copied).id == before and len(events(copied)) == entered
    assert not list(copied.snapshots.glob(".half-*"))


def take_in_news(home: Home) -> None:
    """Something in north that makes its files be written anew, without another record."""
    with opened(home, "change for a test") as connection:
        connection.execute("UPDATE referral_score SET scored_at = scored_at + INTERVAL 1 SECOND")


def _spoil(monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Have ``statement`` run on north's tables before they are written to its Parquet file."""
    original = clinic_files.write_clinic

    def write(cursor: duckdb.DuckDBPyConnection, clinic: str, *rest: Any) -> dict[str, int]:
        return original(_Spoiled(cursor, statement) if clinic == "north" else cursor, clinic, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(clinic_files, "write_clinic", write)


class _Spoiled:
    """A cursor that runs one more statement before it copies."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, statement: str) -> None:
        self.cursor, self.statement = cursor, statement

    def execute(self, query: str, *bound: Any) -> duckdb.DuckDBPyConnection:
        if query.startswith("COPY"):
            self.cursor.execute(self.statement)
        return self.cursor.execute(query, *bound)


def test_a_kept_emergency_that_is_lowered_all_the_same_stops_the_publication(
    copied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored_by_m2(copied, {"emer": "routine"})
    assemble = publication.assemble
    monkeypatch.setattr(publication, "assemble", lambda *given, with_kept=False: assemble(*given))
    before = current_snapshot(copied).id
    with pytest.raises(PublicationHeld, match="which their earlier scores do not explain"):
        publish(copied, about=M2, limits=LIMITS)
    assert current_snapshot(copied).id == before


@pytest.mark.parametrize("said", ["", "  ", "two\nlines", "\x1b[31m", "x" * 501])
def test_an_override_takes_a_name_and_a_reason(said: str) -> None:
    assert agreed(by=" Ada ", reason="right") == Override("Ada", "right")
    for given_ in ({"by": said, "reason": "right"}, {"by": "Ada", "reason": said}):
        with pytest.raises(WarehouseRefused, match="takes a name and a reason"):
            agreed(**given_)


def test_the_written_limits_let_no_emergency_and_no_same_day_row_down() -> None:
    written = publish_limits()
    assert (written.from_emergency_at_most, written.from_same_day_at_most, written.signed_by) == (0, 0, None)
    plain = written.model_dump()
    for wrong in ({"share_at_most": 1.0}, {"from_emergency_at_most": -1}, {"least_records": 0}, {"other": 1}):
        with pytest.raises(ValidationError):
            PublishLimitsFile.model_validate(plain | wrong)


def test_every_listed_column_is_published_and_no_other(tiered: Home) -> None:
    with connect(current_snapshot(tiered)) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' "
            "AND database_name = 'memory' AND NOT internal"
        ).fetchall()
    tables: dict[str, set[str]] = {}
    for table, column in found:
        tables.setdefault(table, set()).add(column)
    assert tables == {table: set(columns) for table, columns in published_columns().items()}


def test_the_asset_tells_every_finding_and_links_the_job(
    copied: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored_by_m2(copied, {"emer": "routine"})
    monkeypatch.setenv("HIPTRIAGE_HOME", str(copied.root))
    monkeypatch.setattr(
        "pipelines.defs.publishing.publish_snapshot", lambda home, _: publish(home, about=M2, limits=LIMITS)
    )
    result = dg.materialize([snapshot_asset], raise_on_error=False)
    assert not result.success
    assert [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()] == ["snapshot"]
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed and check.check_name == gate_told.CHECK
    assert check.metadata["job"].value == f"/locations/hiptriage/jobs/{gate_told.OVERRIDE_JOB}/playground"
    assert "1 of 5 records" in str(check.metadata[NAME].value) and "emer" in shown(copied)
    assert "passed" in str(check.metadata["columns"].value) and "passed" in str(check.metadata["records"].value)
    (failed,) = result.get_step_failure_events()
    assert "the publish gate is red" in str(failed.step_failure_data.user_failure_data.description)
    _spoil(monkeypatch, "DELETE FROM clinic_file.referrals")
    take_in(copied, "north", [{"record_id": "new", "submitted_at": at(8)}], tmp_path)
    score(copied, lambda _: {"model_version": "m2"})
    result = dg.materialize([snapshot_asset], raise_on_error=False)
    (check,) = result.get_asset_check_evaluations()
    assert not result.success and not check.passed and "5 missing" in str(check.metadata["records"].value)
    assert not result.get_asset_materialization_events()


DAMAGE: list[tuple[str, Callable[[Path], object]]] = [
    ("cut short", lambda file: os.truncate(file, file.stat().st_size // 2)),
    ("empty", lambda file: os.truncate(file, 0)),
    ("other blocks", lambda file: _overwrite(file, slice(3 * 4096, None))),
    ("another header", lambda file: _overwrite(file, slice(0, 4096))),
    ("no file", lambda file: file.unlink()),
]


def _overwrite(file: Path, place: slice) -> None:
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[place] = bytes(255 - byte for byte in content[place])
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [case[1] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_a_damaged_snapshot_is_told_in_one_sentence_and_published_anew(
    copied: Home, damage: Callable[[Path], object]
) -> None:
    old = current_snapshot(copied)
    damage(old.path / "north.duckdb")
    for form in ("table", "csv", "json"):
        done = CliRunner().invoke(worklist, ["--format", form], env={"HIPTRIAGE_HOME": str(copied.root)})
        assert done.exit_code == 2 and done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith("hiptriage: the current snapshot is damaged")
    told = [finding.sentence for finding in check_home(copied) if finding.state == "wrong"]
    assert told == [f"snapshot {old.id} is current and damaged: hiptriage run publishes a new one"]
    assert not holds_everything(copied, Versions("m1", "c1", "r1", "k1"))
    assert published(copied).linked == 1  # south was whole
    assert shown(copied)["emer"] == ("emergency", "m1")
    sentences = [finding.sentence for finding in check_home(copied)]
    assert f"kept snapshots that are damaged and cannot be gone back to: {old.id}" in sentences


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "\x00"])
def test_a_damaged_manifest_is_told_in_one_sentence(copied: Home, content: str) -> None:
    file = current_snapshot(copied).path / "manifest.json"
    file.chmod(0o600)
    file.write_text(content)
    with pytest.raises(SnapshotMissing, match="damaged"):
        current_snapshot(copied)
    assert not holds_everything(copied, Versions("m1", "c1", "r1", "k1"))
    published(copied)
    assert json.loads((current_snapshot(copied).path / "manifest.json").read_text())["previous"] is None


@pytest.mark.parametrize("damage", [case[1] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_a_damaged_warehouse_is_told_and_left_as_it_is(copied: Home, damage: Callable[[Path], object]) -> None:
    damage(copied.warehouse)
    left = copied.warehouse.read_bytes() if copied.warehouse.exists() else None
    with pytest.raises(WarehouseRefused) as refused:
        published(copied)
    assert str(refused.value) in (DAMAGED, GONE) and "hiptriage restore" in str(refused.value)
    assert (copied.warehouse.read_bytes() if copied.warehouse.exists() else None) == left
    assert shown(copied)["emer"] == ("emergency", "m1")  # readers read on


def test_what_a_process_left_that_died_over_the_first_warehouse_is_made_anew(home: Home) -> None:
    home.warehouse.touch()
    assert published(home).referrals == 0


@pytest.mark.slow
def test_run_ends_with_4_while_a_tier_is_held_and_takes_an_override(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real stages; the override by the real job."""
    home.root.chmod(0o700)
    (tmp_path / "forms.csv").write_text("record_id,submitted_at,age_years\na,2026-01-02T10:00:00Z,30\n")

    def ran(*arguments: str) -> Any:
        return CliRunner().invoke(run, [*arguments])

    with monkeypatch.context() as quicker:
        quicker.setattr("pipelines.materialise.materialise", loaded_scored_and_published)
        assert ran(str(tmp_path / "forms.csv"), "--clinic", "north", "--data-kind", "sample").exit_code == 0
        # As if another program had come to an emergency, published that, and left its place to this one.
        with opened(home, "change for a test") as connection:
            connection.execute("UPDATE referral_score SET tier = 'emergency', scored_at = scored_at - INTERVAL 1 HOUR")
        publish(home, about=publication_of(basis_in_force(home)))
        with opened(home, "change for a test") as connection:
            connection.execute("INSERT INTO referral_score SELECT * REPLACE (now() AS scored_at) FROM referral_score")
            connection.execute(
                "UPDATE referral_score SET tier = 'routine' "
                "WHERE scored_at = (SELECT max(scored_at) FROM referral_score)"
            )
        held = ran()
        assert held.exit_code == 4 and "the publish gate is red" in held.stderr
        assert shown(home)["a"][0] == "emergency"
        again = ran()
        assert (
            again.exit_code == 4 and "nothing new" in again.stdout and "HELD: 1 row keeps its earlier" in again.stderr
        )
        assert ran("--by", "Ada").exit_code == 2
        assert ran("--by", " ", "--override-reason", "right").exit_code == 4
    assert ran("--by", "Ada", "--override-reason", "looked at it").exit_code == 0
    assert shown(home)["a"][0] == "routine"
    assert ("override", "Ada", "looked at it") in events(home)
    assert ran().exit_code == 0
