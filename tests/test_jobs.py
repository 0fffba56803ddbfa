"""The jobs that an analyst launches: good and bad fields, what they do, what they show, and what they never keep.

Real jobs in this process, on a Dagster instance and a home of their own, with the model of the release.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from models.basis import RULES_ONLY
from models.gates import gate_limits
from pipelines.changes import withdrawal_request
from pipelines.changes.promotion_preview import tier_changes
from pipelines.definitions import hiptriage
from pipelines.instance import use_instance_of
from pipelines.outcomes import Ended
from pipelines.showing.small_counts import FEW_TOLD, told, total_told
from tests.assets_in_turn import loaded_scored_and_published
from tests.test_privacy import decoded
from tests.test_promotion import LOCKED, OTHER, SAME, TWIN, WARY, command, in_table, pointer, store
from warehouse import audit, model_history
from warehouse.home import PACKAGE, Home
from warehouse.preview import TierChange, TierChanges
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.store import opened

pytestmark = pytest.mark.slow

PLANTED = "Zorblax"
BOTH = {"by": "Ada", "second": "Ben", "reason": "because"}
BY = {"by": "Ada", "reason": "because"}
FORMS = {
    "promote": BOTH | {"version": TWIN},
    "roll_back": BY,
    "suspend": BY,
    "resume": BY,
    "replay_quarantine": {},
    "dismiss_refused": {"batch": "b", "record_number": 1, "by": "Ada", "reason": "telephoned"},
    "withdraw": {"request": "r-1", "by": "Ada", "reason": "patient_request"},
    "purge": {},
    "publish_with_override": BY,
}
ASSETS_AFTER_A_CHANGE = ["model_in_force", "unread_forms", "referral_score", "snapshot"]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return hiptriage()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with 40 records, a planted one, two that are refused, and two more models; gates on fewer records."""
    limits = gate_limits()
    comparison = limits.comparison.model_copy(update={"records": 1_500})
    fewer = limits.model_copy(
        update={"comparison": comparison, "sentinels": limits.sentinels.model_copy(update={"records": 200})}
    )
    home = Home(tmp_path_factory.mktemp("jobs"))
    home.root.chmod(0o700)
    home.ensure()
    file = tmp_path_factory.mktemp("forms") / "forms.csv"
    lines = (PACKAGE / "bundled" / "sample-clinic.csv").read_text("utf-8").splitlines()
    head = lines[0].split(",")
    own = [
        {"record_id": f"{PLANTED}-17", "patient_key": f"{PLANTED}-person", "submitted_at": "2026-01-02T10:00:00Z"},
        {"record_id": "refused-1", "submitted_at": "2026-01-02T10:00:00Z", "age_years": f"{PLANTED} age"},
        {"record_id": "refused-2", "submitted_at": f"{PLANTED} day"},
    ]
    clinic = dict(zip(head, lines[1].split(","), strict=False))["clinic_id"]
    rows = [",".join((said | {"clinic_id": clinic}).get(column, "") for column in head) for said in own]
    file.write_text("\n".join([*lines[:41], *rows, ""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.changes.proposal.gate_limits", lambda: fewer)
        patch.setattr("pipelines.materialise.materialise", loaded_scored_and_published)
        assert command("run", file, "--data-kind", "sample", home=home).code == 3
        for manifest in (SAME, OTHER):
            store(home, manifest)
        yield home


@pytest.fixture
def home(published: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    shutil.copytree(published.root, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("HIPTRIAGE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    return Home(tmp_path / "home")


class Ran:
    """A run that ended: whether it did what it should, what it said, and what it showed."""

    def __init__(self, result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> None:
        self.success = result.success
        failures = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
        self.refused = "; ".join(str(failure.description) for failure in failures if failure)
        self.unexpected = any(failure is None or "unexpected" in failure.metadata for failure in failures)
        self.said = "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))
        self.made = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
        outputs = [event.step_output_data for event in result.all_events if event.is_successful_output]
        self.outputs = {output.output_name: output.metadata for output in outputs}


def launched(definitions: dg.Definitions, home: Home, job: str, **fields: Any) -> Ran:
    """Launch a job with these fields of its form, on the Dagster instance of the home."""
    with dg.DagsterInstance.from_config(str(use_instance_of(home))) as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            run_config={"ops": {job: {"config": fields}}}, instance=instance, raise_on_error=False
        )
        return Ran(result, instance)


def state(home: Home) -> tuple[Any, ...]:
    return pointer(home), current_snapshot(home).id, model_history.changes(home), events(home)


def events(home: Home) -> list[str]:
    with opened(home, "test") as connection:
        return [f"{entry.event} {entry.by_name}" for entry in audit.entries(connection)]


# The forms


def test_every_change_has_a_form_whose_fields_say_what_they_are(definitions: dg.Definitions) -> None:
    for job, fields in FORMS.items():
        (op,) = [node.definition for node in definitions.resolve_job_def(job).nodes if node.name == job]
        declared = op.config_schema.config_type.fields
        assert set(fields) <= set(declared), job
        for name, field in declared.items():
            assert field.description and len(field.description) > 6, (job, name)
            assert not {"record_id", "patient_key"} & {name}, job
        assert dg.validate_run_config(definitions.resolve_job_def(job), {"ops": {job: {"config": fields}}})


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        ("promote", {"version": f"../{PLANTED}", "by": "", "second": PLANTED * 30, "reason": PLANTED * 72}),
        ("dismiss_refused", {"record_number": -1, "batch": ""}),
        ("withdraw", {"request": f"../landing/{PLANTED}"}),
    ],
)
def test_a_field_out_of_bounds_ends_the_run_with_one_sentence_and_no_change(
    definitions: dg.Definitions, home: Home, job: str, wrong: Mapping[str, Any]
) -> None:
    before = state(home)
    ran = launched(definitions, home, job, **FORMS[job] | wrong)
    assert not ran.success and not ran.unexpected
    assert ran.refused.startswith("the launch form cannot be used: ") and ran.refused.endswith("; nothing was changed")
    assert all(f"{field}: " in ran.refused for field in wrong) and ran.refused.count(": ") == len(wrong) + 1
    assert PLANTED not in ran.said and state(home) == before


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        ("promote", {"confirm": "perhaps"}),
        ("dismiss_refused", {"reason": "because"}),
        ("withdraw", {"how": "destroy"}),
        ("withdraw", {"reason": "because"}),
        ("withdraw", {"record_id": "r"}),
    ],
)
def test_the_form_itself_refuses_a_field_or_choice_that_it_does_not_have(
    definitions: dg.Definitions, job: str, wrong: Mapping[str, Any]
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError):
        config = {"ops": {job: {"config": FORMS[job] | wrong}}}
        dg.validate_run_config(definitions.resolve_job_def(job), config)


# Models


def test_a_promotion_is_shown_first_then_done_then_taken_back(definitions: dg.Definitions, home: Home) -> None:
    before, first = state(home), current_snapshot(home).id
    ran = launched(definitions, home, "promote", **BOTH, version=WARY)
    assert ran.success and ran.made == [] and state(home) == before
    assert "launch again with confirm: true" in ran.said
    shown = {name: str(value.value) for name, value in ran.outputs["preview"].items()}
    assert "open referrals would change tier" in shown["tier changes"]
    assert "| failed | calibration slope |" in shown["gates"] and "not yet signed" in shown["gates"]
    assert f"hiptriage model promote {WARY}" in shown["which records"]
    with connect(current_snapshot(home)) as connection:
        ids = [record_id for (record_id,) in connection.execute("SELECT record_id FROM referrals").fetchall()]
    assert not [record_id for record_id in ids if record_id in json.dumps(shown) + ran.said]

    alone = BOTH | {"second": "ada", "version": TWIN, "confirm": True}
    assert "two different people" in launched(definitions, home, "promote", **alone).refused
    assert state(home) == before

    ran = launched(definitions, home, "promote", **BOTH, version=TWIN, confirm=True)
    assert ran.success and ran.made == ASSETS_AFTER_A_CHANGE, ran.refused
    assert pointer(home) == TWIN and in_table(home) == {TWIN}
    assert events(home)[-2:] == ["promote Ada", f"publication {audit.account()}"]

    ran = launched(definitions, home, "roll_back", **BY)
    assert ran.success and current_snapshot(home).id == first and ran.made == ["model_in_force", "snapshot"]


def test_a_change_that_could_not_be_published_says_so_and_the_next_run_publishes_it(
    definitions: dg.Definitions, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise ValueError(PLANTED)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.stages.publish", dies)
        ran = launched(definitions, home, "suspend", **BY)
    assert not ran.success and ran.unexpected and "the change stands, and the next run publishes it" in ran.refused
    assert PLANTED not in ran.said
    assert command("run", home=home).code == 0 and in_table(home) == {RULES_ONLY}
    assert "suspended already" in launched(definitions, home, "suspend", **BY).refused
    ran = launched(definitions, home, "resume", **BY)
    assert ran.success and ran.made == ASSETS_AFTER_A_CHANGE and in_table(home) == {LOCKED}


def test_a_job_holds_the_warehouse_until_its_last_step_is_over(
    definitions: dg.Definitions, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def looking(context: dg.OpExecutionContext, home: Home) -> Iterator[Any]:
        held.append(json.loads((home.root / "warehouse.holder").read_text())["purpose"])
        yield from ()

    monkeypatch.setattr("pipelines.changes.publishing_change.score_and_publish", looking)
    assert launched(definitions, home, "suspend", **BY).success
    assert held == ["hiptriage model suspend"]
    monkeypatch.setenv("HIPTRIAGE_LOCK_WAIT_SECONDS", "0.1")
    with opened(home, "test"):
        pass  # it was let go of


# Refused records


def test_refused_records_are_tried_again_and_dismissed(definitions: dg.Definitions, home: Home) -> None:
    (batch,) = batches(home)
    ran = launched(definitions, home, "replay_quarantine", batches=[batch, "no-such-batch"])
    assert re.search(r": (\d+) tried again = 0 now read \+ \1 still refused", ran.said)
    assert "no-such-batch: not tried: no such batch is registered" in ran.said
    assert not ran.success and ran.refused.startswith("1 batches could not be tried")
    assert ran.made == ASSETS_AFTER_A_CHANGE  # one that cannot be tried keeps nobody from being published
    assert launched(definitions, home, "replay_quarantine").success

    form = {"batch": batch, "record_number": 42, "by": "Ada", "reason": "telephoned"}
    ran = launched(definitions, home, "dismiss_refused", **form)
    assert ran.success and ran.made == ASSETS_AFTER_A_CHANGE, ran.refused
    assert "no such record or file waits" in launched(definitions, home, "dismiss_refused", **form).refused
    assert events(home)[-2] == "dismissal Ada"
    assert PLANTED not in "".join(text for name, _, text in decoded(home.root) if name.startswith("dagster/"))


def batches(home: Home) -> list[str]:
    with opened(home, "test") as connection:
        return [batch for (batch,) in connection.execute("SELECT batch_id FROM intake_file").fetchall()]


# Withdrawal


def ask(home: Home, text: str, mode: int = 0o600) -> None:
    file = home.withdrawals / "r-1.csv"
    file.write_text(text)
    file.chmod(mode)


def test_a_withdrawal_leaves_nothing_of_the_record_in_dagster_either(definitions: dg.Definitions, home: Home) -> None:
    with opened(home, "test") as connection:
        ((clinic,),) = connection.execute("SELECT DISTINCT clinic_id FROM intake_valid").fetchall()
    before = state(home)
    ask(home, f"clinic_id,record_id,patient_key,refused\n{clinic},{PLANTED}-17,,\n")
    ran = launched(definitions, home, "withdraw", **FORMS["withdraw"])
    assert ran.success and "to erase" in ran.said and "1 record, which arrived 1 time in 1 file" in ran.said
    assert state(home) == before and (home.withdrawals / "r-1.csv").exists()

    ran = launched(definitions, home, "withdraw", **FORMS["withdraw"], confirm=True)
    assert ran.success and ran.made == ASSETS_AFTER_A_CHANGE, ran.refused
    assert not (home.withdrawals / "r-1.csv").exists()
    found = [(name, place) for name, place, text in decoded(home.root) if f"{PLANTED}-17" in text]
    assert found == []

    ask(home, f"clinic_id,record_id\n{clinic},{PLANTED}-17\n")
    ran = launched(definitions, home, "withdraw", **FORMS["withdraw"], confirm=True)
    assert ran.success and "it was erased before" in ran.said and not (home.withdrawals / "r-1.csv").exists()


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        (None, 0o600, "there is no file withdrawals/r-1.csv"),
        ("clinic_id,record_id\nnorth,a\n", 0o644, "others on this machine may read"),
        ("clinic_id,record_id\nnorth,a\nnorth,b\n", 0o600, "has to be one row under the columns"),
        ("clinic_id,record_id\n", 0o600, "has to be one row under the columns"),
        (f"clinic_id,{PLANTED}\nnorth,a\n", 0o600, "has to be one row under the columns"),
        (f"clinic_id,record_id\nnorth,a,{PLANTED}\n", 0o600, "has to be one row under the columns"),
        (f"clinic_id,record_id\nnorth {PLANTED},a\n", 0o600, "a clinic id is 1-32 of"),
        ("clinic_id,record_id\nnorth,\n", 0o600, "name a record"),
        (f"clinic_id,record_id\nnorth,{PLANTED}" + " " * 70_000, 0o600, "no plain file of at most"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused_in_a_sentence_without_what_it_says(
    home: Home, text: str | None, mode: int, sentence: str
) -> None:
    if text is not None:
        ask(home, text, mode)
    with pytest.raises(Ended) as refused:
        withdrawal_request.read(home, "r-1")
    assert sentence in refused.value.message and PLANTED not in refused.value.message


def test_a_request_for_nothing_that_is_here_changes_nothing(definitions: dg.Definitions, home: Home) -> None:
    before = state(home)
    ask(home, f"clinic_id,record_id\nnorth,{PLANTED}\n")
    ran = launched(definitions, home, "withdraw", **FORMS["withdraw"], confirm=True)
    assert not ran.success and not ran.unexpected and "clinic north has no such record" in ran.refused
    assert PLANTED not in ran.said and state(home) == before and (home.withdrawals / "r-1.csv").exists()


# Publication


def test_an_override_is_entered_with_its_name(definitions: dg.Definitions, home: Home) -> None:
    ran = launched(definitions, home, "publish_with_override", **BY)
    assert ran.success and ran.made == ASSETS_AFTER_A_CHANGE, ran.refused


# Counts of people


@pytest.mark.parametrize(
    ("counts", "each", "total"),
    [
        ([], [], "0"),
        ([0], ["0"], "0"),
        ([1], [FEW_TOLD], FEW_TOLD),
        ([7], [FEW_TOLD], FEW_TOLD),
        ([8], ["8"], "8"),
        ([8, 1], ["8", FEW_TOLD], "more than 8"),
        ([1, 3], [FEW_TOLD] * 2, FEW_TOLD),
        ([4, 5, 9], [FEW_TOLD, FEW_TOLD, "9"], "18"),
    ],
)
def test_no_small_count_of_people_can_be_read_or_worked_out(counts: list[int], each: list[str], total: str) -> None:
    assert [told(count) for count in counts] == each
    assert total_told(counts) == total


def test_the_preview_counts_moves_and_names_nobody() -> None:
    moves = [("routine", "soon")] * 9 + [("soon", "urgent")] * 2
    changed = tuple(TierChange("north", f"{PLANTED}-{n}", *move) for n, move in enumerate(moves))
    said = tier_changes(TierChanges(100, changed))
    assert said.startswith("more than 9 of 100 open referrals would change tier.")
    assert "| soon | URGENT | 7 or fewer |" in said and "| routine | soon | 9 |" in said and PLANTED not in said
    assert tier_changes(TierChanges(5, ())) == "None of 7 or fewer open referrals would change tier."
