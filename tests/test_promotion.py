"""Changing which model is in force: preview, gates, promotion, rollback, suspension, and dying in the middle.

Real commands, assets and models. One test kills real processes (``tests.forked``) that run Dagster; the others call the
assets one after the other.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from models.basis import RULES_ONLY
from models.gates import gate_limits
from models.model_file import default_locked_folder, load_model, read_manifest, version_of
from pipelines.cli import main
from tests.assets_in_turn import loaded_scored_and_published
from tests.commands import Done
from tests.forked import KILLED, Commands
from warehouse import model_history
from warehouse.home import PACKAGE, Home
from warehouse.model_history import Change, last_standing_promotion
from warehouse.model_pointer import InForce
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.store import opened

pytestmark = pytest.mark.slow

MANIFEST = read_manifest(default_locked_folder())
ESTIMATOR = load_model(default_locked_folder()).estimator
LOCKED = str(MANIFEST["model_version"])


def other_manifest(**changed: Any) -> dict[str, Any]:
    """That of the locked model, parts of it changed, with the version that then follows."""
    manifest = {**MANIFEST, **changed}
    return {**manifest, "model_version": version_of(ESTIMATOR, manifest)}


SAME = other_manifest(seed=-1)  # scores as the locked model does
# No record is like what it learnt from, so that it hands every one to a person; and its calibration misses the bar.
OTHER = other_manifest(
    usual_answers=MANIFEST["usual_answers"] | {"mean_oddness_limit": -1.0},
    evaluation=MANIFEST["evaluation"] | {"model": MANIFEST["evaluation"]["model"] | {"calibration_slope": 0.8}},
)
TWIN, WARY = str(SAME["model_version"]), str(OTHER["model_version"])
BY = ("--by", "Ada", "--reason", "because")
BOTH = (*BY, "--second", "Ben")
RECORDS = 300


@pytest.fixture(scope="module")
def quicker() -> Iterator[None]:
    """The gates on fewer records, and no Dagster around the assets."""
    limits = gate_limits()
    fewer = limits.model_copy(
        update={
            "comparison": limits.comparison.model_copy(update={"records": 3_000}),
            "sentinels": limits.sentinels.model_copy(update={"records": 200}),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.changes.proposal.gate_limits", lambda: fewer)
        patch.setattr("pipelines.materialise.materialise", loaded_scored_and_published)
        yield


@pytest.fixture(scope="module")
def published(quicker: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a published table and two more models, TWIN and WARY."""
    home = Home(tmp_path_factory.mktemp("published"))
    home.root.chmod(0o700)
    home.ensure()
    file = tmp_path_factory.mktemp("forms") / "forms.csv"
    _forms(file, 0, RECORDS)
    assert command("run", file, "--data-kind", "sample", home=home).code in (0, 3)
    for manifest in (SAME, OTHER):
        store(home, manifest)
    return home


@pytest.fixture
def home(published: Home, tmp_path: Path) -> Home:
    """A copy of it for one test."""
    shutil.copytree(published.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def command(*arguments: str | Path, home: Home) -> Done:
    """Run a command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIPTRIAGE_HOME", str(home.root))
        patch.setenv("DAGSTER_HOME", "")
        done = CliRunner().invoke(main, [*map(str, arguments)])
    if isinstance(done.exception, Died):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


class Died(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def dies(*arguments: str, home: Home, step: str) -> None:
    """Run a command that ends at ``step``, a function as module:name:before or after."""
    module, name, when = step.split(":")
    function = getattr(importlib.import_module(module), name)

    def dying(*given: Any, **named: Any) -> None:
        if when == "after":
            function(*given, **named)
        raise Died

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(f"{module}.{name}", dying)
        command(*arguments, home=home)


def _forms(file: Path, start: int, stop: int) -> None:
    lines = (PACKAGE / "bundled" / "sample-clinic.csv").read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join([lines[0], *lines[1 + start : 1 + stop]]), "utf-8")


def store(home: Home, manifest: dict[str, Any]) -> None:
    """The locked model under another manifest."""
    folder = Path(shutil.copytree(default_locked_folder(), home.models / manifest["model_version"]))
    (folder / "manifest.json").write_text(json.dumps(manifest))


def table(home: Home) -> dict[tuple[str, str], tuple[str, str]]:
    """Tier and model version of every record of the current snapshot."""
    with connect(current_snapshot(home)) as connection:
        rows = connection.execute("SELECT clinic_id, record_id, tier, model_version FROM referrals").fetchall()
    return {(clinic, record): (tier, version) for clinic, record, tier, version in rows}


def in_table(home: Home) -> set[str]:
    """Model versions of the published rows; the manifest names the same."""
    versions = {version for _, version in table(home).values()}
    assert current_snapshot(home).versions["model_version"] in versions
    return versions


def pointer(home: Home) -> str | None:
    file = home.models / "current"
    return file.read_text().strip() if file.exists() else None


def scores(home: Home) -> dict[str, int]:
    with opened(home, "test") as connection:
        rows = connection.execute("SELECT model_version, count(*) FROM referral_score GROUP BY ALL").fetchall()
    return dict(rows)


def unscored(home: Home, version: str) -> int:
    """Records whose current answers this model has not scored."""
    with opened(home, "test") as connection:
        rows = connection.execute(
            "SELECT count(*) FROM intake_current ANTI JOIN (SELECT * FROM referral_score WHERE model_version = ?) "
            "USING (clinic_id, record_id, intake_hash)",
            [version],
        ).fetchall()
    return int(rows[0][0])


def state(home: Home) -> tuple[Any, ...]:
    return pointer(home), current_snapshot(home).id, scores(home), model_history.changes(home)


def refused(done: Done) -> str:
    """The one sentence of a refused command."""
    assert done.code == 4, (done.out, done.err)
    (line,) = done.err.splitlines()
    return line


def test_the_preview_changes_nothing_and_says_what_would_change(home: Home) -> None:
    before, tiers = state(home), table(home)
    done = command("model", "promote", WARY, *BOTH, home=home)
    assert f"model {WARY} never ran in shadow" in done.out
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("nothing changed: add --yes")
    assert state(home) == before
    assert re.search(r"failed +calibration slope: 0.800 \(n [\d,]+\); limit: 0.95 to 1.05", done.out)

    # A second way to the same: put it in force by hand, run, and compare the two published tables.
    (home.models / "current").write_text(WARY)
    assert command("run", home=home).code == 0
    assert in_table(home) == {WARY}
    words = {"EMERGENCY": "emergency", "SAME DAY": "same_day", "URGENT": "urgent", "self-care": "self_care"}
    listed = re.findall(r"^  ([\w-]+)/([\w-]+)  ([\w -]+) -> ([\w -]+)$", done.out, re.MULTILINE)
    changed = {(clinic, record): (words.get(old, old), words.get(new, new)) for clinic, record, old, new in listed}
    expected = {key: (tiers[key][0], now) for key, (now, _) in table(home).items() if tiers[key][0] != now}
    assert changed == expected and expected
    assert f"{len(expected)} of {len(tiers)} open referrals change tier" in done.out


def test_a_failed_gate_a_tampered_file_and_one_person_alone_are_refused(home: Home) -> None:
    before = state(home)
    sentence = refused(command("model", "promote", WARY, *BOTH, "--yes", home=home))
    assert "the gates do not let it pass: calibration slope;" in sentence
    with (home.models / TWIN / "model.skops").open("ab") as file:
        file.write(b"x")
    sentence = refused(command("model", "promote", TWIN, *BOTH, "--yes", home=home))
    assert "not the one its manifest describes" in sentence and "nothing was changed" in sentence
    alone = ("--by", "Ada", "--second", " ada ", "--reason", "x", "--yes")
    assert "two different people" in refused(command("model", "promote", TWIN, *alone, home=home))
    for arguments in (("--second", ""), ("--reason", " "), ("--by", "\x1b[31m")):
        assert "readable signs" in refused(command("model", "promote", TWIN, *BOTH, *arguments, home=home))
    assert command("model", "promote", "0123456789ab", *BOTH, home=home).code == 2
    assert command("model", "promote", LOCKED, *BOTH, "--yes", home=home).out.endswith("nothing changed\n")
    assert "no promotion stands" in refused(command("model", "rollback", *BY, home=home))
    assert "no model is suspended" in refused(command("model", "resume", *BY, home=home))
    assert state(home) == before


def test_promotion_and_rollback_take_model_and_table_together(home: Home) -> None:
    first = current_snapshot(home).id
    done = command("model", "promote", TWIN, *BOTH, "--yes", home=home)
    assert done.code == 0, done.err
    assert "0 of " in done.out and "failed" not in done.out
    second = current_snapshot(home).id
    assert pointer(home) == TWIN and in_table(home) == {TWIN} and second != first
    (entered,) = model_history.changes(home)
    assert (entered.kind, entered.by, entered.second, entered.reason) == ("promote", "Ada", "Ben", "because")
    assert (entered.before, entered.after) == (InForce(LOCKED), InForce(TWIN))
    assert (entered.snapshot_before, entered.snapshot_after) == (first, second)
    assert {gate["state"] for gate in json.loads(entered.gates)} <= {"passed", "too few to say"}
    assert f"* {TWIN}" in command("model", "list", home=home).out

    before = scores(home)
    done = command("model", "rollback", *BY, home=home)
    assert done.code == 0 and f"snapshot {first}" in done.out
    assert current_snapshot(home).id == first
    assert pointer(home) == LOCKED and in_table(home) == {LOCKED} and scores(home) == before
    assert "nothing new" in command("run", home=home).out
    assert current_snapshot(home).id == first
    assert "no promotion stands" in refused(command("model", "rollback", *BY, home=home))
    told = command("model", "history", home=home).out.splitlines()
    assert len(told) == 2
    assert f"promote from {LOCKED} to {TWIN} by Ada and Ben: because; table {first} before, {second} after" in told[0]
    assert f"rollback from {TWIN} to {LOCKED} by Ada: because; table {second} before, {first} after" in told[1]


def test_after_new_forms_a_rollback_scores_them_and_uses_the_old_scores_for_the_rest(
    home: Home, tmp_path: Path
) -> None:
    dies("model", "promote", TWIN, *BOTH, "--yes", home=home, step="pipelines.model_in_force:point_to:after")
    _forms(tmp_path / "more.csv", RECORDS, RECORDS + 5)
    assert command("run", tmp_path / "more.csv", "--data-kind", "sample", home=home).code in (0, 3)
    assert in_table(home) == {TWIN}  # the run made and published the change along with the new forms
    before, records, new = scores(home), table(home).keys(), unscored(home, LOCKED)
    done = command("model", "rollback", *BY, home=home)
    assert done.code == 0 and "new forms came in since" in done.out
    assert in_table(home) == {LOCKED} and table(home).keys() == records
    assert new and scores(home) == before | {LOCKED: before[LOCKED] + new}
    assert model_history.changes(home)[-1].snapshot_after == current_snapshot(home).id


def test_a_suspended_model_leaves_rules_with_a_banner_until_it_is_resumed(home: Home) -> None:
    """Each change dies somewhere else, and the next run ends it."""
    dies("model", "suspend", *BY, home=home, step="warehouse.model_history:enter:before")
    assert "nothing new" in command("run", home=home).out
    assert pointer(home) is None and model_history.changes(home) == []

    dies("model", "suspend", *BY, home=home, step="warehouse.model_history:enter:after")
    assert pointer(home) is None and model_history.unpublished(home)
    assert command("run", home=home).code == 0
    assert in_table(home) == {RULES_ONLY}
    assert current_snapshot(home).banner == (
        f"RULES ONLY: no model is in force (model {LOCKED} is suspended). "
        "Tiers come from red-flag rules and floors alone."
    )
    listed = command("model", "list", home=home).out
    assert f"! {LOCKED}" in listed and "SUSPENDED" in listed and "log loss" in listed
    assert "is suspended already" in refused(command("model", "suspend", *BY, home=home))
    assert "nothing new" in command("run", home=home).out

    before = scores(home)
    dies("model", "resume", *BY, home=home, step="warehouse.snapshots:_swap_pointer:before")
    assert pointer(home) == LOCKED and in_table(home) == {RULES_ONLY}
    assert command("run", home=home).code == 0
    assert in_table(home) == {LOCKED} and current_snapshot(home).banner is None and scores(home) == before

    assert command("model", "suspend", *BY, home=home).code == 0
    assert in_table(home) == {RULES_ONLY}
    changes = model_history.changes(home)
    assert [change.kind for change in changes] == ["suspend", "resume", "suspend"]
    assert changes[-1].snapshot_after == current_snapshot(home).id != changes[1].snapshot_after


def test_a_promotion_that_died_can_be_given_again_or_taken_back(home: Home) -> None:
    step, first = "pipelines.model_in_force:point_to:before", current_snapshot(home).id
    dies("model", "promote", TWIN, *BOTH, "--yes", home=home, step=step)
    taken_back = Home(Path(shutil.copytree(home.root, home.root.with_name("other"), symlinks=True)))
    assert command("model", "promote", TWIN, *BOTH, "--yes", home=home).code == 0
    assert in_table(home) == {TWIN} and len(model_history.changes(home)) == 1
    assert command("model", "rollback", *BY, home=taken_back).code == 0
    assert pointer(taken_back) == LOCKED and current_snapshot(taken_back).id == first


def test_a_killed_promotion_is_finished_by_the_next_run(commands: Commands, home: Home) -> None:
    """With the written gates, a real SIGKILL and a real Dagster run."""
    point = "pipelines.model_in_force:point_to:before"
    assert commands("model", "promote", TWIN, *BOTH, "--yes", home=home.root, step=point).code == KILLED
    assert pointer(home) is None and in_table(home) == {LOCKED}
    done = commands("run", home=home.root)
    assert done.code == 0 and f"scored by model {TWIN}" in done.err
    assert pointer(home) == TWIN and in_table(home) == {TWIN}
    (entered,) = model_history.changes(home)
    assert entered.snapshot_after == current_snapshot(home).id


def test_a_report_is_named_from_the_home(home: Home) -> None:
    (home.models / TWIN / "report.html").write_text("<html>")
    shown = command("model", "show", TWIN, "--report", home=home)
    assert shown.out == f"models/{TWIN}/report.html\n"
    (home.models / TWIN / "report.html").unlink()
    assert command("model", "show", TWIN, "--report", home=home).code == 2


def change(kind: str, before: str, after: str) -> Change:
    return Change(kind=kind, by="a", reason="b", before=InForce(before), after=InForce(after))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moves", "back_to"),
    [
        ([], None),
        (["promote a b"], "a"),
        (["promote a b", "promote b c"], "b"),
        (["promote a b", "promote b c", "rollback c b"], "a"),
        (["promote a b", "promote b c", "rollback c b", "rollback b a"], None),
        (["promote a b", "suspend b b", "resume b b"], "a"),
        (["promote a b", "rollback b a", "promote a c"], "a"),
        (["suspend a a"], None),
    ],
)
def test_each_rollback_takes_back_one_promotion(moves: list[str], back_to: str | None) -> None:
    found = last_standing_promotion([change(*move.split()) for move in moves])
    assert (found and found.before.version) == back_to


def test_an_older_warehouse_gets_the_history_it_lacks(home: Home) -> None:
    before = scores(home)
    with opened(home, "test") as connection:
        connection.execute("DROP TABLE model_change")
        connection.execute("DROP TABLE model_change_published")
        connection.execute("DELETE FROM warehouse_version")
        connection.execute("INSERT INTO warehouse_version VALUES (1)")
    assert model_history.changes(home) == []
    model_history.enter(home, change("suspend", "a", "a"))
    assert len(model_history.changes(home)) == 1 and scores(home) == before
