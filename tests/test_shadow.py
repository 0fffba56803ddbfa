"""Shadow mode: what scores beside what is in force, who would be seen later, and that nothing of it is published.

Real knowledge, model, warehouse and snapshots; one test runs the asset and the job in Dagster.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from models.basis import load_basis
from models.knowledge_changes import KnowledgeChanges, read_changes
from models.knowledge_files import KNOWLEDGE, KnowledgeError
from models.model_file import default_locked_folder, load_model, read_manifest, version_of
from pipelines.changes import shadow
from pipelines.changes.promotion import Agreed
from pipelines.changes.proposal import ChangeRefused, in_shadow
from pipelines.cli import main
from pipelines.stages import look_at_refused, publish_snapshot, score
from schemas.tiers import tiers
from tests.commands import Done
from warehouse import audit, intake, sources
from warehouse import shadow as kept
from warehouse.home import PACKAGE, Home
from warehouse.publish_gate import Override
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.store import opened
from warehouse.withdrawing.tables import KEY, check_tables, tables_with

pytestmark = pytest.mark.slow

ADA = Agreed("Ada", "to see what it would do")
LOCKED = str(read_manifest(default_locked_folder())["model_version"])
RECORDS = 119
# One rule more urgent and one less, so that tiers change both ways.
MOVED = {
    "rules/articles.yaml": ("id: no_better_after_rest", "tier: routine", "tier: urgent"),
    "rules/bone.yaml": ("id: femoral_neck_fracture_no_known_risk", "tier: urgent", "tier: routine"),
}


def _unheard(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a published table of sample records."""
    home = Home(tmp_path_factory.mktemp("shadow") / "home")
    home.ensure()
    file = tmp_path_factory.mktemp("forms") / "forms.csv"
    lines = (PACKAGE / "bundled" / "sample-clinic.csv").read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[: 1 + RECORDS]), "utf-8")
    batch, _ = sources.register(home, file, clinic="", data_kind="sample")
    intake.load(home, batch.batch_id)
    stages(home)
    return home


def stages(home: Home) -> None:
    look_at_refused(home, _unheard)
    score(home, _unheard)
    publish_snapshot(home, _unheard)


@pytest.fixture
def home(published: Home, tmp_path: Path) -> Home:
    shutil.copytree(published.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the changed rules, and one file as it is in the release."""
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "rules").mkdir()
    for name, (rule, before, after) in MOVED.items():
        head, found, tail = (KNOWLEDGE / name).read_text("utf-8").partition(rule)
        assert found and before in tail
        (folder / name).write_text(head + found + tail.replace(before, after, 1), "utf-8")
    shutil.copy(KNOWLEDGE / "sources.yaml", folder)
    return folder


def command(*arguments: str | Path, home: Home) -> Done:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIPTRIAGE_HOME", str(home.root))
        done = CliRunner().invoke(main, ["model", "shadow", *map(str, arguments)])
    return Done(done.exit_code, done.stdout, done.stderr)


def everything_published(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table that a reader of the current snapshot can open."""
    with connect(current_snapshot(home)) as connection:
        names = connection.execute("SELECT DISTINCT table_name FROM duckdb_columns() WHERE NOT internal").fetchall()
        return {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY ALL').fetchall() for (name,) in names}


def hashes(home: Home) -> dict[str, object]:
    """Hash and size of every published file of every clinic."""
    return {clinic: said["files"] for clinic, said in current_snapshot(home).manifest["clinics"].items()}


def test_who_would_be_seen_later_comes_first_and_nothing_is_published(home: Home, knowledge: Path) -> None:
    before, files = everything_published(home), hashes(home)
    run = shadow.start(home, ADA, version=None, knowledge=knowledge)
    assert [name for name, _ in run.files] == sorted(MOVED)  # sources.yaml says what the release says
    scored = shadow.score_in_shadow(home, _unheard)
    assert scored > 90 and shadow.score_in_shadow(home, _unheard) == 0

    seen = shadow.look(home)
    changed = seen.comparison.changes.changed
    assert seen.comparison.unscored == 0 and seen.run.records == seen.comparison.changes.records
    assert {change.sooner for change in changed} == {True, False}
    slower = [tiers()[change.after].rank - tiers()[change.before].rank for change in changed]
    assert slower == sorted(slower, reverse=True)

    publish_snapshot(home, _unheard)
    assert hashes(home) == files
    after = everything_published(home)
    assert set(after) == set(before)
    basis = load_basis(default_locked_folder(), read_changes(knowledge))
    assert after["referrals"] == before["referrals"]
    assert basis.rules.version not in json.dumps(after, default=str)


def test_what_it_scores_is_what_a_release_with_these_rules_would_say(home: Home, knowledge: Path) -> None:
    shadow.start(home, ADA, version=None, knowledge=knowledge)
    shadow.score_in_shadow(home, _unheard)
    expected = {(one.clinic_id, one.record_id): one.after for one in shadow.look(home).comparison.changes.changed}
    changed = load_basis(default_locked_folder(), read_changes(knowledge))
    before = tiers_of(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.stages.basis_in_force", lambda _: changed)
        score(home, _unheard)
        publish_snapshot(home, _unheard, Override("Ada", "the rules of the new release"))
    after = tiers_of(home)
    assert {key: tier for key, tier in after.items() if tier != before[key]} == expected


def tiers_of(home: Home) -> dict[tuple[str, str], str]:
    with connect(current_snapshot(home)) as connection:
        rows = connection.execute("SELECT clinic_id, record_id, tier FROM referrals").fetchall()
    return {(clinic, record): tier for clinic, record, tier in rows}


def test_start_and_stop_are_entered_in_the_audit_and_scores_go(home: Home, knowledge: Path) -> None:
    shadow.start(home, ADA, version=None, knowledge=knowledge)
    with pytest.raises(ChangeRefused, match="runs already"):
        shadow.start(home, ADA, version=None, knowledge=knowledge)
    shadow.score_in_shadow(home, _unheard)
    _, records = shadow.stop(home, replace(ADA, reason="seen enough"))
    assert records > 90
    with opened(home, "test") as connection:
        entries = [entry for entry in audit.entries(connection) if entry.event == "shadow"]
        assert audit.first_broken(connection, {}) is None
        assert connection.execute("SELECT count(*) FROM shadow_score").fetchone() == (0,)
    assert [entry.reason for entry in entries] == ["start: to see what it would do", "stop: seen enough"]
    assert json.loads(entries[1].counts) == {"records": records}
    (ended,) = kept.history(home)
    assert (ended.records, ended.ended_at is None) == (records, False)
    assert shadow.score_in_shadow(home, _unheard) == 0
    with pytest.raises(ChangeRefused, match="nothing runs"):
        shadow.stop(home, ADA)


def test_an_entry_is_kept_only_with_the_change(home: Home) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "enter", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kept.start(home, "0", [], by="Ada", reason="because")
    assert kept.history(home) == []


def test_a_stopped_shadow_gets_no_scores(home: Home, knowledge: Path) -> None:
    shadow.start(home, ADA, version=None, knowledge=knowledge)

    def stopped_before(*given: object) -> object:
        if kept.running(home):
            shadow.stop(home, ADA)
        return real(*given)

    real = shadow._basis
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shadow, "_basis", stopped_before)
        assert shadow.score_in_shadow(home, _unheard) == 0


def twin(home: Home) -> str:
    """A model that scores as the locked one does, under another version."""
    manifest = read_manifest(default_locked_folder()) | {"seed": -1}
    version = version_of(load_model(default_locked_folder()).estimator, manifest)
    folder = Path(shutil.copytree(default_locked_folder(), home.models / version))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"model_version": version}))
    return version


def test_a_model_in_shadow_and_what_a_promotion_says_of_it(home: Home) -> None:
    version = twin(home)
    assert "never ran in shadow" in in_shadow(home, version)
    with pytest.raises(ChangeRefused, match="nothing in it differs"):
        shadow.start(home, ADA, version=LOCKED, knowledge=None)
    shadow.start(home, ADA, version=version, knowledge=None)
    scored = shadow.score_in_shadow(home, _unheard)
    assert shadow.look(home).comparison.changes.changed == ()
    said = in_shadow(home, version)
    assert "ran in shadow from" in said and f"over {kept.history(home)[0].records} records" in said and scored
    shutil.rmtree(home.models / version)
    with pytest.raises(Exception, match="no such model version"):
        shadow.score_in_shadow(home, _unheard)
    score(home, _unheard)  # what is published does not care


def test_a_withdrawal_knows_the_tables_of_a_shadow(home: Home) -> None:
    with opened(home, "test") as connection:
        check_tables(connection)
        assert "shadow_score" in tables_with(connection, KEY)  # whatever stands there of a record is erased with it


WRONG = [
    ({"generator.yaml": "a: 1"}, "only rules, catalogue and advice"),
    ({"rules/notes.txt": "a"}, "only rules, catalogue and advice"),
    ({"conditions/gout.yaml": "a: 1"}, "needs a new model"),
    ({}, "says what this release says"),
]


@pytest.mark.parametrize(("files", "why"), WRONG)
def test_only_what_a_shadow_may_change_is_taken(tmp_path: Path, files: dict[str, str], why: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(KnowledgeError, match=why):
        read_changes(tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "bone.yaml").symlink_to("/etc/hostname")
    with pytest.raises(KnowledgeError, match="not a plain file"):
        read_changes(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("rules/bone.yaml", b"- id: x\n"), ("advice.yaml", b"[]"), ("conditions/tumour.yaml", b"id: tumour\n")],
)
def test_changed_knowledge_is_checked_as_strictly_as_the_release(home: Home, name: str, text: bytes) -> None:
    changes: KnowledgeChanges = ((name, text),)
    with pytest.raises(ChangeRefused, match=f"cannot be used: .*{Path(name).name}"):
        shadow._basis(home, None, changes)


def test_the_command_lists_records_and_the_asset_counts_only(home: Home, knowledge: Path) -> None:
    done = command("start", "--knowledge", knowledge, "--by", "Ada", "--reason", "rules", home=home)
    assert done.code == 0, done.err
    told = command("show", home=home)
    (some, *_) = shadow.look(home).comparison.changes.changed
    assert f"{some.clinic_id}/{some.record_id}" in told.out and "later" in told.out
    assert command("start", LOCKED, "--by", "Ada", "--reason", "x", home=home).code == 4

    from pipelines.defs import shadow as defined

    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("HIPTRIAGE_HOME", str(home.root))
        result = dg.materialize([defined.shadow_score], instance=instance)
        (event,) = result.get_asset_materialization_events()
        shown = json.dumps({k: str(v.value) for k, v in event.materialization.metadata.items()})
        assert "would change tier" in shown and "7 or fewer" in shown
        assert not [key for key in tiers_of(home) if f'"{key[1]}"' in shown or f"/{key[1]}" in shown]
        stop = {"ops": {"shadow": {"config": {"what": "stop", "by": "Ada", "reason": "enough"}}}}
        assert defined.shadow.execute_in_process(run_config=stop, instance=instance).success
    assert kept.running(home) is None
    assert command("show", home=home).code == 4
