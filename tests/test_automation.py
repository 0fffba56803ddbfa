"""What runs by itself is asked for once, again after a failure, and not twice; the lock; runs of dead processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import hiptriage
from pipelines.defs.automation.batches import waiting_batches
from pipelines.defs.automation.files import landing_folder
from pipelines.defs.automation.learning import enough_outcomes
from pipelines.defs.automation.publication import PATIENCE_SECONDS, QUIET_SECONDS, unpublished_work
from pipelines.defs.intake import BATCHES
from pipelines.failures import BUSY_RETRIES, without_patient_values
from pipelines.instance import use_instance_of
from pipelines.runs import trying_again
from pipelines.runs.automation_settings import automation_settings, cron
from pipelines.runs.batches_under_way import stretches, tags_of, under_way
from pipelines.runs.dead_runs import end_dead_runs, tag_of_process
from pipelines.runs.following import FOLLOWS
from pipelines.runs.processes import identity, is_alive, may_be
from pipelines.runs.trying_again import Attempts
from tests.published_home import published
from warehouse import intake
from warehouse.home import Home
from warehouse.landing import take_in
from warehouse.landing_watch import look
from warehouse.lock import WarehouseBusy, holding
from warehouse.scores import Versions
from warehouse.sources import pending_batches

ROW = "record_id,submitted_at,age_years,systemic__fever\nr{0},2026-01-02T10:00:00Z,31,{1}\n"
HOLDER = textwrap.dedent("""
    import sys
    from warehouse.home import Home
    from warehouse.lock import holding
    with holding(Home.from_environment(), "test of the services"):
        print("held", flush=True)
        sys.stdin.readline()
""")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def drop(home: Home) -> Callable[..., Path]:
    """Puts a file of one record into the landing folder of a clinic."""
    (home.root / "settings.toml").write_text('data_kind = "sample"\nlanding_settle_seconds = 0\n')

    def write(number: int, clinic: str = "north", name: str = "", fever: int = 0) -> Path:
        folder = home.landing / clinic
        folder.mkdir(exist_ok=True)
        file = folder / (name or f"Jane Canary {number}.csv")
        file.write_text(ROW.format(number, fever))
        return file

    return write


@pytest.fixture
def other_process(home: Home) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the warehouse."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    process.communicate("\n")


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, sensor_name=sensor.name)
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_asked_for_once_it_has_looked_the_same_twice(
    drop: Callable[..., Path], instance: dg.DagsterInstance
) -> None:
    file = drop(1)
    first = tick(landing_folder, instance, None)
    assert not first.run_requests
    file.write_text(ROW.format(1, 1) + "more of it\n")  # it was still being written
    second = tick(landing_folder, instance, first.cursor)
    assert not second.run_requests
    third = tick(landing_folder, instance, second.cursor)
    assert third.run_requests
    assert len(third.run_requests) == 1
    assert not tick(landing_folder, instance, third.cursor).run_requests
    assert "Canary" not in "".join(str(result.cursor) for result in (first, second, third))


def test_landing_is_keyed_by_clinic_and_content(drop: Callable[..., Path], home: Home) -> None:
    def settled(memory: str) -> tuple[int, str]:
        moving = look(home, memory)
        rested = look(home, moving.memory)
        return len(rested.settled), rested.memory

    drop(1)
    count, memory = settled("")
    assert count == 1
    drop(1, name="the same again.csv")
    count, memory = settled(memory)
    assert count == 0, "the same bytes of the same clinic"
    drop(1, clinic="south")
    count, memory = settled(memory)
    assert count == 1, "another clinic sent the same bytes"
    drop(2)
    (home.landing / "north" / "the same again.csv").unlink()
    count, memory = settled(memory)
    assert count == 1
    assert settled(memory)[0] == 0
    assert settled("not what a look gave")[0] == 3


def test_what_has_settled_is_not_read_again(
    drop: Callable[..., Path], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(1)
    drop(2)
    memory = look(home, look(home, "").memory).memory
    monkeypatch.setattr("warehouse.landing_watch.file_digest", lambda *_: pytest.fail("a file was read again"))
    assert look(home, memory).settled == ()


def test_a_look_reads_a_bounded_amount(drop: Callable[..., Path], home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        drop(number)
    monkeypatch.setattr("warehouse.landing_watch.BYTES_A_LOOK", 1)
    memory, looks = look(home, "").memory, []
    for _ in range(4):
        seen = look(home, memory)
        memory = seen.memory
        looks.append((len(seen.settled), seen.moving))
    assert looks == [(1, 2), (1, 1), (1, 0), (0, 0)]


# --- batches ---------------------------------------------------------------------------------------------------------


def test_waiting_batches_are_one_run_and_asked_for_once(
    drop: Callable[..., Path], home: Home, instance: dg.DagsterInstance
) -> None:
    for number in range(3):
        drop(number)
    take_in(home)
    waiting = pending_batches(home)
    first = tick(waiting_batches, instance, None)
    assert first.run_requests and len(first.run_requests) == 1
    assert tags_of(waiting).items() <= first.run_requests[0].tags.items()
    assert [request.partition_keys for request in first.dynamic_partitions_requests or []] == [waiting]
    instance.add_dynamic_partitions(str(BATCHES.name), waiting)
    assert not tick(waiting_batches, instance, first.cursor).run_requests, "asked for, and not failed for long"
    for batch_id in waiting:
        intake.load(home, batch_id)
    quiet = tick(waiting_batches, instance, first.cursor)
    assert not quiet.run_requests
    with holding(home, "test"):
        again = tick(waiting_batches, instance, quiet.cursor)
    assert again.cursor == quiet.cursor, "nothing was written, so the warehouse is not opened"


def test_a_batch_that_was_not_loaded_is_asked_for_again_later_and_alone(
    drop: Callable[..., Path], home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(trying_again.time, "time", lambda: now)
    drop(1)
    take_in(home)
    (broken,) = pending_batches(home)
    first = tick(waiting_batches, instance, None)
    instance.add_dynamic_partitions(str(BATCHES.name), [broken])
    now += 60
    drop(2)
    take_in(home)
    second = tick(waiting_batches, instance, first.cursor)
    assert second.run_requests and len(second.run_requests) == 1
    assert broken not in second.run_requests[0].tags.values(), "what failed must not hold up what is new"
    now += trying_again.FIRST_PAUSE_SECONDS
    intake.load(home, next(batch for batch in pending_batches(home) if batch != broken))
    third = tick(waiting_batches, instance, second.cursor)
    assert third.run_requests
    assert tags_of([broken]).items() <= third.run_requests[0].tags.items()
    assert first.run_requests and third.run_requests[0].run_key != first.run_requests[0].run_key


def test_batches_that_a_run_is_loading_are_left_to_it(
    drop: Callable[..., Path], home: Home, instance: dg.DagsterInstance
) -> None:
    drop(1)
    take_in(home)
    (batch_id,) = pending_batches(home)
    instance.add_dynamic_partitions(str(BATCHES.name), [batch_id])
    instance.add_run(dg.DagsterRun("intake", status=dg.DagsterRunStatus.STARTED, tags=tags_of([batch_id])))
    assert not tick(waiting_batches, instance, None).run_requests


def test_a_busy_warehouse_makes_sensors_skip_and_say_who_holds_it(
    drop: Callable[..., Path],
    home: Home,
    instance: dg.DagsterInstance,
    other_process: subprocess.Popen[str],
) -> None:
    for sensor in (waiting_batches, unpublished_work):
        result = tick(sensor, instance, None)
        assert result.skip_reason
        assert f"process {other_process.pid} has held it" in str(result.skip_reason.skip_message), sensor.name
        assert "test of the services" in str(result.skip_reason.skip_message)
    skipped = enough_outcomes(dg.build_sensor_context(instance=instance))
    assert isinstance(skipped, dg.SkipReason)
    assert f"process {other_process.pid}" in str(skipped.skip_message)


def test_the_same_outcomes_ask_for_one_training(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.defs.automation.learning.new_since", lambda _: 50)
    first = dg.build_sensor_context(instance=instance)
    assert isinstance(enough_outcomes(first), dg.RunRequest)
    assert first.cursor and first.cursor.endswith(" 50")
    later = dg.build_sensor_context(instance=instance, cursor="2026-01-01 50")
    assert isinstance(enough_outcomes(later), dg.SkipReason), "they may be of a kind that never teaches"
    more = dg.build_sensor_context(instance=instance, cursor="2026-01-01 49")
    assert isinstance(enough_outcomes(more), dg.RunRequest)


STRETCHES: dict[str, tuple[str, list[list[str]]]] = {
    "none": ("", []),
    "all": ("abcde", [["a", "b", "c", "d", "e"]]),
    "apart": ("bd", [["b"], ["d"]]),
    "two and one": ("abe", [["a", "b"], ["e"]]),
    "in Dagster's order": ("edc", [["c", "d", "e"]]),
}


@pytest.mark.parametrize("case", STRETCHES)
def test_stretches_never_cover_a_batch_that_is_not_asked_for(case: str) -> None:
    wanted, expected = STRETCHES[case]
    assert stretches(list(wanted), list("abcde")) == expected


def test_a_range_under_way_covers_what_lies_between(instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun("x", status=dg.DagsterRunStatus.STARTING, tags=tags_of(["b", "d"])))
    instance.add_run(dg.DagsterRun("x", status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "f"}))
    instance.add_run(dg.DagsterRun("x", status=dg.DagsterRunStatus.FAILURE, tags=tags_of(["a", "f"])))
    assert under_way(instance, list("abcdef")) == set("bcdf")


def test_pauses_grow_and_a_clock_that_goes_back_makes_nothing_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(trying_again.time, "time", lambda: now)
    attempts, pauses = Attempts(""), []
    for _ in range(7):
        attempts.asked(["x"])
        asked = now
        while not Attempts(attempts.memory()).due(["x"]):
            now += 60
        pauses.append((now - asked) / 60)
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    attempts.asked(["x"])
    now -= 86_400
    assert attempts.due(["x"]) == ["x"]


# --- publication -----------------------------------------------------------------------------------------------------


def test_what_no_run_published_is_asked_for_after_a_while_and_not_every_tick(
    drop: Callable[..., Path], home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(trying_again.time, "time", lambda: now)  # one module for all who import it
    empty = tick(unpublished_work, instance, None)
    assert not empty.run_requests, "an empty installation has nothing to publish"
    monkeypatch.setattr("pipelines.unpublished.versions_in_force", lambda _: Versions("m1", "c1", "r1", "k1"))
    drop(1)
    take_in(home)
    intake.load(home, pending_batches(home)[0])
    first = tick(unpublished_work, instance, empty.cursor)
    assert not first.run_requests, "declarative automation goes first"
    now += PATIENCE_SECONDS
    at_work = instance.add_run(dg.DagsterRun("intake", status=dg.DagsterRunStatus.STARTED))
    busy = tick(unpublished_work, instance, first.cursor)
    assert not busy.run_requests
    instance.delete_run(at_work.run_id)
    second = tick(unpublished_work, instance, first.cursor)
    assert second.run_requests and len(second.run_requests) == 1
    now += 60
    third = tick(unpublished_work, instance, second.cursor)
    assert not third.run_requests, "not again at once"
    now += trying_again.FIRST_PAUSE_SECONDS
    fourth = tick(unpublished_work, instance, third.cursor)
    assert fourth.run_requests
    assert fourth.run_requests[0].run_key != second.run_requests[0].run_key
    published(home)
    done = tick(unpublished_work, instance, fourth.cursor)
    assert not done.run_requests
    assert json.loads(str(done.cursor))[0], "quiet until something is written"
    now += 2 * QUIET_SECONDS
    monkeypatch.setattr("pipelines.unpublished.OF_STALE_HOURS", 0.0)
    old = tick(unpublished_work, instance, done.cursor)
    now += PATIENCE_SECONDS
    assert tick(unpublished_work, instance, old.cursor).run_requests, "before it is marked stale"


def graph() -> list[dg.AssetsDefinition]:
    """Assets with the keys, the partitions and the conditions of the real ones, that do nothing."""
    batch = dg.DynamicPartitionsDefinition(name="batch")

    @dg.multi_asset(specs=[dg.AssetSpec(key, partitions_def=batch) for key in ("intake_valid", "intake_quarantine")])
    def load(context) -> Iterator[dg.MaterializeResult]:  # type: ignore[no-untyped-def]  # Dagster reads the annotation
        if context.run.tags.get("fails"):
            raise dg.Failure("cannot be loaded")
        yield dg.MaterializeResult(asset_key="intake_valid")
        yield dg.MaterializeResult(asset_key="intake_quarantine")

    def plain(name: str, deps: list[str], condition: dg.AutomationCondition | None = FOLLOWS) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=deps, automation_condition=condition)
        def made() -> None: ...

        return made

    return [
        load,
        plain("model_in_force", [], None),
        plain("unread_forms", ["intake_quarantine"]),
        plain("referral_score", ["intake_valid", "model_in_force"]),
        plain("snapshot", ["referral_score", "unread_forms"]),
    ]


class Automation:
    """Ticks of declarative automation over ``graph`` on a real instance; what it asks for is run."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.definitions = dg.Definitions(assets=graph(), executor=dg.in_process_executor)
        self.cursor = None
        assert self.tick() == set()

    def tick(self, *, run: bool = True) -> set[str]:
        result = dg.evaluate_automation_conditions(
            defs=self.definitions,
            instance=self.instance,
            cursor=self.cursor,
            asset_selection=dg.AssetSelection.all(),
        )
        self.cursor = result.cursor
        names = {
            key for key in ("unread_forms", "referral_score", "snapshot") if result.get_num_requested(dg.AssetKey(key))
        }
        if names and run:
            self.run(*names)
        return names

    def run(self, *names: str, batch: str | None = None, **tags: str) -> bool:
        assets = [asset for asset in self.definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)]
        done = dg.materialize(
            assets,
            selection=[*names],
            instance=self.instance,
            partition_key=batch,
            tags=tags,
            raise_on_error=False,
        )
        return done.success

    def load(self, batch: str, **tags: str) -> bool:
        self.instance.add_dynamic_partitions("batch", [batch])
        return self.run("intake_valid", "intake_quarantine", batch=batch, **tags)


ALL = {"unread_forms", "referral_score", "snapshot"}


@pytest.fixture
def following(instance: dg.DagsterInstance) -> Automation:
    return Automation(instance)


def test_one_run_follows_a_batch_and_no_second(following: Automation) -> None:
    assert following.load("a")
    assert following.tick() == ALL
    assert [following.tick() for _ in range(3)] == [set()] * 3


def test_batches_that_are_missing_or_failed_hold_nothing_up(following: Automation) -> None:
    following.instance.add_dynamic_partitions("batch", ["never loaded"])
    assert not following.load("bad", fails="yes")
    assert following.tick() == set()
    assert following.load("good")
    assert following.tick() == ALL
    assert following.tick() == set()


def test_the_table_follows_a_change_of_model(following: Automation) -> None:
    following.load("a")
    following.tick()
    following.run("model_in_force")
    assert following.tick() == {"referral_score", "snapshot"}
    assert following.tick() == set()


def test_what_a_run_brought_up_to_date_itself_is_not_run_again(following: Automation) -> None:
    following.load("a")
    following.tick()
    # All stages in one run, as score_and_publish.
    assert following.run("model_in_force", *ALL)
    assert following.tick() == set()
    # A job of ops that scores and publishes on its own and reports at its end what it did.
    for key in ("model_in_force", "unread_forms", "referral_score", "snapshot"):
        following.instance.report_runless_asset_event(dg.AssetMaterialization(key))
    assert following.tick() == set()


def test_batches_that_come_while_a_run_is_at_work_are_followed_by_one_run(following: Automation) -> None:
    following.load("a")
    assert following.tick(run=False) == ALL
    for batch in "bcd":
        following.load(batch)
    following.run(*ALL)
    assert following.tick() == set(), "the run began after they were loaded"
    following.run(*ALL)
    following.load("e")
    assert following.tick() == ALL, "loaded after the scoring, in the same tick"


def test_a_failed_run_is_not_repeated_without_end(following: Automation) -> None:
    following.load("a")
    assert following.tick(run=False) == ALL  # and the run fails: nothing is brought up to date
    assert [following.tick() for _ in range(3)] == [set()] * 3
    following.load("b")
    assert following.tick() == ALL


def test_a_table_that_could_not_be_published_is_tried_once_more(following: Automation) -> None:
    following.load("a")
    assert following.tick(run=False) == ALL
    following.run("unread_forms", "referral_score")  # and the snapshot fails
    assert following.tick(run=False) == {"snapshot"}
    assert [following.tick() for _ in range(3)] == [set()] * 3


def test_the_real_assets_follow(home: Home) -> None:
    repository = hiptriage().get_repository_def()
    assert {
        key.to_user_string()
        for key in repository.asset_graph.get_all_asset_keys()
        if repository.asset_graph.get(key).automation_condition == FOLLOWS
    } >= ALL


SWITCHES = {
    "landing_folder": True,
    "waiting_batches": True,
    "automation": True,
    "unpublished_work": True,
    "dead_runs": True,
    "enough_outcomes": True,
    "reconcile": True,
    "purge_nightly": True,
    "retrain": False,
}


def test_every_switch_is_in_the_ui_says_what_it_does_and_is_sensible_by_default(home: Home) -> None:
    repository = hiptriage().get_repository_def()
    found = {definition.name: definition for definition in (*repository.sensor_defs, *repository.schedule_defs)}
    assert set(SWITCHES) <= set(found)
    jobs = {job.name for job in repository.get_all_jobs()}
    nightly = repository.get_schedule_def("purge_nightly").evaluate_tick(dg.build_schedule_context())
    assert nightly.run_requests
    assert dg.validate_run_config(repository.get_job("purge"), nightly.run_requests[0].run_config)
    for name, is_on in SWITCHES.items():
        definition = found[name]
        assert (definition.default_status.value == "RUNNING") == is_on, name
        assert len(definition.description or "") > 60, name
        if isinstance(definition, dg.ScheduleDefinition):
            assert definition.job_name in jobs
        else:
            assert {target.job_name for target in definition.targets} <= jobs | {"__ASSET_JOB"}, name


BROKEN_SETTINGS = {
    "no TOML": "automation = [",
    "a wrong value": "[automation]\nlanding_seconds = -1\n",
    "an unknown name": "[automation]\nlanding_second = 3\n",
}


@pytest.mark.parametrize("case", BROKEN_SETTINGS)
def test_settings_that_cannot_be_read_leave_the_defaults(case: str, home: Home) -> None:
    (home.root / "settings.toml").write_text(BROKEN_SETTINGS[case])
    assert automation_settings().landing_seconds == 30
    assert cron("reconcile_cron") == "*/15 * * * *"


def test_a_cron_line_that_dagster_cannot_read_leaves_the_default(home: Home) -> None:
    (home.root / "settings.toml").write_text(
        '[automation]\nreconcile_cron = "now and then"\nretrain_cron = "0 4 * * *"\n'
    )
    assert cron("reconcile_cron") == "*/15 * * * *"
    assert cron("retrain_cron") == "0 4 * * *"


# --- one writer, many runs -------------------------------------------------------------------------------------------


def test_threads_of_one_process_exclude_each_other(home: Home) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with holding(home, "test"), holding(home, "again in the same thread"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.001)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_thread_waits_a_bounded_time_and_hears_who_holds_the_lock(home: Home) -> None:
    heard: list[str] = []

    def want() -> None:
        try:
            with holding(home, "want", wait=0.05):
                heard.append("got it")
        except WarehouseBusy as busy:
            heard.append(str(busy))

    with holding(home, "first"):
        thread = threading.Thread(target=want)
        thread.start()
        thread.join()
    assert len(heard) == 1
    assert f"process {os.getpid()} has held it" in heard[0]
    with holding(home, "free again", wait=0):
        pass


def test_who_waits_says_for_what(
    home: Home,
    other_process: subprocess.Popen[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("warehouse.lock.SAY_AFTER_SECONDS", 0.01)
    monkeypatch.setattr("warehouse.lock.SAY_AGAIN_SECONDS", 0.05)
    with caplog.at_level("INFO", "warehouse.lock"), pytest.raises(WarehouseBusy), holding(home, "want", wait=0.2):
        pass
    said = [record.getMessage() for record in caplog.records]
    assert len(said) > 1
    assert all(f"process {other_process.pid} has held it" in line and "(want)" in line for line in said)


def test_a_step_that_waited_in_vain_is_tried_again_and_then_fails_with_the_sentence(
    home: Home,
    instance: dg.DagsterInstance,
    other_process: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipelines.failures.BUSY_PAUSE_SECONDS", 0.01)
    tries = 0

    @dg.asset
    def wants_the_warehouse() -> None:
        nonlocal tries
        tries += 1
        with without_patient_values("publication"), holding(home, "publish", wait=0):
            pass

    done = dg.materialize([wants_the_warehouse], instance=instance, raise_on_error=False)
    assert not done.success
    assert tries == 1 + BUSY_RETRIES
    (failed,) = done.get_step_failure_events()
    said = failed.step_failure_data.user_failure_data
    assert said and said.description
    assert said.description.startswith("publication: the warehouse is busy")
    assert f"process {other_process.pid}" in said.description


@pytest.mark.slow
def test_what_a_run_waits_for_stands_in_its_log(
    home: Home, other_process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.lock.SAY_AFTER_SECONDS", 0.01)

    @dg.asset
    def wants_the_warehouse() -> None:
        try:
            with holding(home, "publish", wait=0.1):
                pass
        except WarehouseBusy:
            pass

    monkeypatch.setenv("DAGSTER_HOME", "")  # put back what the next call sets
    with dg.DagsterInstance.from_config(str(use_instance_of(home))) as instance:
        done = dg.materialize([wants_the_warehouse], instance=instance)
        said = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert any(f"process {other_process.pid} has held it" in line and "(publish)" in line for line in said)


# --- dead runs -------------------------------------------------------------------------------------------------------


def a_dead_process() -> str:
    """The identity of a process that has ended."""
    process = subprocess.Popen(["sleep", "60"])
    said = identity(process.pid)
    assert is_alive(said)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(said), "what its parent has not buried yet is dead too"
    process.wait()
    return said


def test_runs_of_dead_processes_are_ended_and_live_ones_left_alone(instance: dg.DagsterInstance) -> None:
    status = dg.DagsterRunStatus
    dead, alive = a_dead_process(), identity(os.getpid())
    number, _, rest = alive.partition(":")
    expected = {
        ("started and dead", status.STARTED, dead): status.FAILURE,
        ("starting and dead", status.STARTING, dead): status.FAILURE,
        ("created and dead", status.NOT_STARTED, dead): status.FAILURE,
        ("to be cancelled and dead", status.CANCELING, dead): status.CANCELED,
        ("its number was given away", status.STARTED, f"{number}:1{rest}"): status.FAILURE,
        ("alive", status.STARTED, alive): status.STARTED,
        ("alive and to be cancelled", status.CANCELING, alive): status.CANCELING,
        ("done", status.SUCCESS, dead): status.SUCCESS,
    }
    runs = {}
    for (case, run_status, process), _ in expected.items():
        run = dg.DagsterRun("job", status=run_status)
        instance.add_run(run.with_tags(tag_of_process(run.run_id, process)))
        runs[case] = run.run_id
    # Run again in the UI: the new run has the tags of the dead one, and a process that reported on it lives.
    copied = dg.DagsterRun("job", status=status.STARTED, tags=tag_of_process(runs["started and dead"], dead))
    instance.add_run(copied)
    reported(instance, copied, os.getpid())
    ended = end_dead_runs(instance)
    for (case, _, _), wanted in expected.items():
        run = instance.get_run_by_id(runs[case])
        assert run and run.status == wanted, case
    found = instance.get_run_by_id(copied.run_id)
    assert found and found.status == status.STARTED
    assert len(ended) == 5
    assert end_dead_runs(instance) == []


def reported(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    from dagster._core.events import EngineEventData

    instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))


def test_a_run_is_found_by_the_process_that_reported_on_it(instance: dg.DagsterInstance) -> None:
    dead = int(a_dead_process().partition(":")[0])
    of_dead = dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTED)
    of_live = dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTED)
    silent = dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTING)
    for run in (of_dead, of_live, silent):
        instance.add_run(run)
    reported(instance, of_dead, dead)
    reported(instance, of_live, os.getpid())
    reported(instance, of_live, dead)  # a step in a process of its own has ended: the run has not
    assert end_dead_runs(instance) == [of_dead.run_id]
    found = instance.get_run_by_id(of_live.run_id)
    assert found
    assert tag_of_process(of_live.run_id, identity(os.getpid())).items() <= found.tags.items()


def test_a_number_that_was_given_away_is_known_by_its_start_and_its_home() -> None:
    process = subprocess.Popen(["sleep", "60"], env={"DAGSTER_HOME": "/homes/one"})
    try:
        long_ago, own, other = time.time() - 86_400, ("DAGSTER_HOME", "/homes/one"), ("DAGSTER_HOME", "/homes/two")
        assert may_be(process.pid, since=time.time(), settings=other)
        assert may_be(process.pid, since=long_ago, settings=own), "the clock may have been put forward"
        assert not may_be(process.pid, since=long_ago, settings=other)
    finally:
        process.kill()
        process.wait()
    assert not may_be(process.pid, since=time.time(), settings=own)
