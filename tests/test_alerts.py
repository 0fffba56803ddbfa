"""Alerts: what is told, to whom, how often, and that nothing of a patient is in it."""

from __future__ import annotations

import email
import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.alerting.composing import KINDS, Alert, ClinicFacts, Facts, Failed, compose, message
from pipelines.alerting.composing import test_alert as a_test
from pipelines.alerting.delivery import PASSWORD, deliver
from pipelines.alerting.facts import look, new_emergencies
from pipelines.alerting.failed_runs import failed_between
from pipelines.alerting.round import look_and_send, standing
from pipelines.alerting.told import NO_CHANNEL, ChannelState, Report, State, after, due, findings, write_report
from pipelines.cli import main
from pipelines.defs.alerts import alerts as sensor
from pipelines.defs.intake import LEFT_FOR_LONG
from tests.published_home import about, mark_unread, score, take_in
from warehouse.home import Home
from warehouse.settings import AlertSettings, MailSettings, Settings
from warehouse.snapshot_reading import UNASSIGNED, current_snapshot, read_manifest
from warehouse.snapshots import publish
from warehouse.store import opened

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CANARIES = ("Canary", "canary-record", "canary-key", "wakes at night canary")
NONE_FAILED = Failed({}, 0)


def nothing_failed(since: datetime, until: datetime) -> Failed:
    assert since < until
    return NONE_FAILED


# ---------------------------------------------------------------------------------------------------------- wording


@pytest.mark.parametrize(
    ("facts", "kind", "clinic", "count", "said"),
    [
        (Facts(new_emergencies={"north": 3}), "new_emergency", "north", 3, "3 new emergency rows"),
        (Facts(new_emergencies={"north": 1}), "new_emergency", "north", 1, "1 new emergency row"),
        (
            Facts(clinics=(ClinicFacts("north", (NOW - 2 * HOUR, NOW - timedelta(minutes=59))),)),
            "unacknowledged_emergency",
            "north",
            1,
            "1 emergency row not acknowledged for more than 60 minutes",
        ),
        (Facts(new_concerns={"north": 2}), "safety_concern", "north", 2, "2 new safety concerns reported"),
        # a clock that went back must not hide anybody
        (
            Facts(clinics=(ClinicFacts("north", (NOW + 24 * HOUR,)),)),
            "unacknowledged_emergency",
            "north",
            1,
            "not acknowledged",
        ),
        (
            Facts(clinics=(ClinicFacts(UNASSIGNED, unread=5, unread_emergency=2),)),
            "unread_forms",
            UNASSIGNED,
            5,
            "5 forms could not be read, 2 with an emergency answer",
        ),
        (Facts(published_at=NOW - 13 * HOUR, stale=True), "snapshot", "", 1, "stale"),
        (Facts(published_at=NOW + HOUR), "snapshot", "", 1, "clock"),
        (Facts(snapshot_problem="it cannot be read"), "snapshot", "", 1, "it cannot be read"),
        (Facts(published_at=NOW, damaged=("north",)), "snapshot", "north", 1, "cannot be opened"),
        (Facts(warehouse_problem="the warehouse is damaged"), "warehouse", "", 1, "damaged"),
        (Facts(failed={"intake, load_batch": 2, "sensor x": 1}), "failed_runs", "", 3, "3 runs failed (intake"),
        (Facts(left=2), "files_left", "", 2, "2 files of the landing folder still not taken in"),
        (Facts(clinics=(ClinicFacts("north", kept=9),)), "tiers_held", "north", 9, "9 rows kept at an earlier"),
        (Facts(held=1), "publication_held", "", 1, "1 publication held back"),
        (Facts(waiting=4), "files_waiting", "", 4, "4 files taken in and still not loaded"),
        (Facts(never_read=2), "never_read", "", 2, "2 entries"),
    ],
)
def test_each_thing_that_is_wrong_is_told_with_its_count(
    facts: Facts, kind: str, clinic: str, count: int, said: str
) -> None:
    (alert,) = compose(facts, Settings(), NOW)
    assert (alert.kind, alert.clinic, alert.count) == (kind, clinic, count)
    assert said in alert.sentence and alert.what_to_do


def test_nothing_wrong_is_told_nobody() -> None:
    open_rows = ClinicFacts("north", (NOW - timedelta(minutes=60),))
    assert compose(Facts(published_at=NOW - HOUR, clinics=(open_rows,)), Settings(), NOW) == []


def test_every_kind_is_covered_by_the_table_above() -> None:
    marks = test_each_thing_that_is_wrong_is_told_with_its_count.pytestmark[0].args[1]
    assert {case[1] for case in marks} == set(KINDS) - {"test"}


def test_times_stand_in_the_clinics_zone_and_forms_without_a_clinic_are_told() -> None:
    settings = Settings.model_validate({"clinics": {"north": {"zone": "Europe/Stockholm", "acknowledge_minutes": 5}}})
    facts = Facts(
        clinics=(
            ClinicFacts("north", (NOW - timedelta(minutes=6),)),
            ClinicFacts(UNASSIGNED, unread=1, unread_emergency=0),
        )
    )
    told = message(compose(facts, settings, NOW), settings, "Riverside", NOW)
    assert "[north, 2026-07-01 14:00 CEST] 1 emergency row not acknowledged for more than 5 minutes." in told.text
    assert "hiptriage worklist --clinic north --tier emergency" in told.text
    assert "[no clinic named, 2026-07-01 12:00 UTC]" in told.text
    assert told.subject.startswith("hiptriage Riverside: 1 emergency row") and told.subject.endswith("and 1 more")
    assert [alert["clinic"] for alert in told.body["alerts"]] == ["north", "no clinic named"]
    assert told.body["text"] == told.text and json.dumps(told.body)


# -------------------------------------------------------------------------------------------------------- how often

STANDS = Alert("unacknowledged_emergency", "north", 2, "two", "look")


@pytest.mark.parametrize(
    ("state", "alert", "later", "is_due"),
    [
        (ChannelState(), STANDS, timedelta(0), True),
        ((STANDS,), STANDS, timedelta(minutes=59), False),
        ((STANDS,), STANDS, timedelta(minutes=60), True),
        ((STANDS,), replace(STANDS, count=3), timedelta(minutes=1), True),
        ((STANDS,), replace(STANDS, count=1), timedelta(minutes=1), False),
        ((STANDS,), replace(STANDS, clinic="south"), timedelta(minutes=1), True),
        ((STANDS,), STANDS, -timedelta(minutes=1), True),  # the clock went back
        ((replace(STANDS, urgent=False),), replace(STANDS, urgent=False), 23 * HOUR, False),
        ((replace(STANDS, urgent=False),), replace(STANDS, urgent=False), 24 * HOUR, True),
        ((replace(STANDS, once=True),), replace(STANDS, once=True), timedelta(minutes=1), True),
    ],
)
def test_what_holds_is_told_again_after_a_while_and_more_of_it_at_once(
    state: Any, alert: Alert, later: timedelta, is_due: bool
) -> None:
    if isinstance(state, tuple):
        state = after(ChannelState(), state, state, snapshot="s", now=NOW)
    assert bool(due(state, [alert], NOW + later, HOUR)) is is_due


def test_what_ceased_is_news_when_it_comes_back() -> None:
    told = after(ChannelState(), [STANDS], [STANDS], snapshot="s", now=NOW)
    ceased = after(told, [], [], snapshot="s", now=NOW + timedelta(minutes=1))
    assert due(ceased, [STANDS], NOW + timedelta(minutes=2), HOUR) == [STANDS]
    fewer = after(told, [replace(STANDS, count=1)], [], snapshot="s", now=NOW + timedelta(minutes=1))
    assert due(fewer, [STANDS], NOW + timedelta(minutes=2), HOUR) == [STANDS]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 90)), max_size=20))
def test_a_rise_is_never_kept_back_and_nothing_is_silent_for_longer_than_the_repeat(
    looks: list[tuple[int, int]],
) -> None:
    state, now, lowest, last = ChannelState(), NOW, 0, None
    for count, minutes in looks:
        now += timedelta(minutes=minutes)
        alerts = [replace(STANDS, count=count)] if count else []
        sent = due(state, alerts, now, HOUR)
        if count > lowest or (count and last and now - last >= HOUR):
            assert sent == alerts
        if sent:
            last = now
        lowest = count if sent else min(lowest, count)
        last = last if count else None
        state = State.read(
            State(channels={"mail": after(state, alerts, sent, snapshot="s", now=now)}).model_dump_json()
        ).channels["mail"]


@pytest.mark.parametrize("cursor", [None, "", "{", '{"channels": 3}', "2026"])
def test_a_cursor_that_says_nothing_begins_anew(cursor: str | None) -> None:
    assert State.read(cursor) == State()


# -------------------------------------------------------------------------------------------------------- channels


@dataclass
class Heard:
    """What a server on this machine was told, and what it answers."""

    port: int = 0
    status: int = 200
    bodies: list[Any] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def webhook() -> Iterator[Heard]:
    heard = Heard()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(heard.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            heard.bodies.append("followed a redirect")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as heard.port:
        yield heard


@pytest.fixture
def post_office() -> Iterator[Heard]:
    """A mail server that takes everything, without STARTTLS."""
    heard = Heard()

    class Office(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            in_data = False
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                heard.lines.append(line)
                if in_data:
                    in_data = line != "."
                    answer = "" if in_data else "250 taken"
                elif line.upper() == "DATA":
                    in_data, answer = True, "354 go on"
                elif line.upper() == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    answer = f"{heard.status if line.lower().startswith('mail') else 250} sink"
                if answer:
                    self.wfile.write(f"{answer}\r\n".encode())

    heard.status = 250
    with serving(socketserver.TCPServer(("127.0.0.1", 0), Office)) as heard.port:
        yield heard


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def writes(file: Path, ends_with: int = 0) -> tuple[str, ...]:
    """A command that appends its input to ``file``."""
    code = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read()); sys.exit(int(sys.argv[2]))"
    return (sys.executable, "-S", "-c", code, str(file), str(ends_with))


def mail(port: int, **changed: Any) -> MailSettings:
    said = {"host": "127.0.0.1", "port": port, "sender": "hip@clinic.example", "to": ("on-call@clinic.example",)}
    return MailSettings.model_validate(said | {"starttls": False} | changed)


def test_all_channels_get_the_same_at_once(webhook: Heard, post_office: Heard, tmp_path: Path) -> None:
    settings = AlertSettings(
        command=writes(tmp_path / "told"),
        webhook=webhook.address,
        mail=mail(post_office.port, to=("a@x.example", "b@x.example")),
    )
    told = message([a_test()], Settings(), "Riverside", NOW)
    assert deliver(dict.fromkeys(settings.channels, told), settings) == dict.fromkeys(settings.channels)
    assert (tmp_path / "told").read_text("utf-8") == told.text
    assert webhook.bodies == [told.body]
    assert [line for line in post_office.lines if line.startswith("rcpt")] == [
        "rcpt TO:<a@x.example>",
        "rcpt TO:<b@x.example>",
    ]
    arrived = email.message_from_string("\n".join(post_office.lines[post_office.lines.index("data") + 1 :]))
    assert arrived["Subject"] == told.subject
    assert arrived.get_payload(decode=True).decode().startswith(told.text)


@pytest.mark.parametrize(
    ("channel", "failure"),
    [
        ("status", "the webhook answered 500"),
        ("redirect", "the webhook answered 302"),
        ("closed", "the webhook cannot be reached (ConnectionRefusedError)"),
        ("exit", "the command ended with 3"),
        ("absent", "the command cannot be started (FileNotFoundError)"),
        ("slow", "the command took longer than 0.2 seconds and was ended"),
        ("refused", "the mail server did not take it (SMTPSenderRefused)"),
        ("plain", "the mail server did not take it (SMTPNotSupportedError)"),
    ],
)
def test_a_failure_is_told_by_its_kind_and_stops_no_other_channel(
    webhook: Heard, post_office: Heard, tmp_path: Path, channel: str, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "swordfish")
    broken: dict[str, dict[str, Any]] = {
        "status": {"webhook": webhook.address},
        "redirect": {"webhook": webhook.address},
        "closed": {"webhook": "http://127.0.0.1:1/secret"},
        "exit": {"command": writes(tmp_path / "broken", 3)},
        "absent": {"command": ("/no/such/program",)},
        "slow": {"command": (sys.executable, "-S", "-c", "import time; time.sleep(60)")},
        "refused": {"mail": mail(post_office.port)},
        "plain": {"mail": mail(post_office.port, starttls=True, user="hip")},
    }
    webhook.status = {"status": 500, "redirect": 302}.get(channel, 200)
    post_office.status = 550 if channel == "refused" else 250
    works = {"command": writes(tmp_path / "told")} if "command" not in broken[channel] else {"webhook": webhook.address}
    settings = AlertSettings.model_validate(broken[channel] | works)
    told = message([a_test()], Settings(), "Riverside", NOW)
    seconds = 0.2 if channel == "slow" else 10
    ended = deliver(dict.fromkeys(settings.channels, told), settings, seconds=seconds)
    (of_works,), (of_broken,) = works.keys(), broken[channel].keys()
    assert ended[of_broken] == failure
    # a process may need longer to start than what the slow one is given
    assert ended[of_works] is None or channel == "slow"
    assert "followed a redirect" not in webhook.bodies
    assert not any("swordfish" in line or "test of the alerts" in line for line in post_office.lines)


def test_a_command_gets_none_of_our_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "swordfish")
    file = tmp_path / "environment"
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))"
    settings = AlertSettings(command=(sys.executable, "-S", "-c", code, str(file)))
    assert deliver({"command": message([a_test()], Settings(), "x", NOW)}, settings) == {"command": None}
    assert "swordfish" not in file.read_text("utf-8")


@pytest.mark.parametrize(
    "refused",
    [
        {"webhook": "http://alerts.example/hook"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "https://"},
        {"mail": {"host": "h", "sender": "s", "to": ["t"], "user": "u", "starttls": False}},
        {"mail": {"host": "h", "sender": "s", "to": []}},
    ],
)
def test_settings_refuse_what_would_cross_a_network_in_the_clear(refused: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertSettings.model_validate(refused)


# ------------------------------------------------------------------------------------- a home with emergencies, whole


def emergency(record: Any) -> dict[str, Any]:
    by_correction = "later" in record["record_id"] and record["submitted_at"] > datetime(2026, 1, 6, tzinfo=UTC)
    return {"tier": "emergency"} if "septic" in record["record_id"] or by_correction else {}


def form(name: str, submitted_at: str) -> dict[str, str]:
    return {
        "record_id": f"canary-record-{name}",
        "patient_key": f"canary-key-{name}",
        "submitted_at": submitted_at,
        "notes": "wakes at night canary",
    }


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str, str]:
    """Two snapshots: an emergency at north; then one more there by a correction, one at south, and one not readable."""
    folder = tmp_path_factory.mktemp("hospital")
    home = Home(folder / "home")
    monday, tuesday = "2026-01-05T08:00:00Z", "2026-01-06T08:00:00Z"
    take_in(home, "north", [form(name, monday) for name in ("septic", "later", "plain")], folder)
    score(home, emergency)
    first = publish(home, about=about()).snapshot_id
    take_in(home, "north", [form(name, tuesday) for name in ("septic", "later")], folder)
    take_in(home, "south", [form("septic", tuesday), form("broken", "yesterday")], folder)
    mark_unread(home, {"canary-record-broken": "emergency"})
    score(home, emergency)
    return home, first, publish(home, about=about()).snapshot_id


def test_new_is_what_the_snapshot_told_last_did_not_show(hospital: tuple[Home, str, str]) -> None:
    home, first, second = hospital
    assert new_emergencies(home, first) == {"north": 1, "south": 1}
    assert new_emergencies(home, second) == {}
    for gone in ("", "20200101T000000000000Z-abcdef", "../../etc"):
        assert new_emergencies(home, gone) == {"north": 2, "south": 1}


def test_a_look_finds_counts_and_times_of_every_clinic(hospital: tuple[Home, str, str]) -> None:
    home, first, second = hospital
    looked = look(home, datetime.now(UTC))
    assert (looked.snapshot_id, looked.busy) == (second, "")
    clinics = {clinic.clinic: clinic for clinic in looked.facts.clinics}
    assert {name: len(clinic.open_since) for name, clinic in clinics.items()} == {"north": 2, "south": 1, UNASSIGNED: 0}
    # a corrected form does not begin to wait anew
    published_at = datetime.fromisoformat(read_manifest(home.snapshots / first)["published_at"])
    assert [since < published_at for since in sorted(clinics["north"].open_since)] == [True, False]
    assert (clinics["south"].unread, clinics["south"].unread_emergency) == (1, 1)
    assert not looked.facts.stale and not looked.facts.damaged and not looked.facts.warehouse_problem


def set_channels(home: Home, **alerts: Any) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in alerts.items()]
    text = 'name = "Riverside"\n[clinics.north]\nacknowledge_minutes = 30\n[alerts]\n' + "\n".join(lines) + "\n"
    (home.root / "settings.toml").write_text(text, "utf-8")


@pytest.fixture
def alerting(hospital: tuple[Home, str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = hospital[0]
    monkeypatch.setenv("HIPTRIAGE_HOME", str(home.root))
    yield home
    (home.root / "settings.toml").unlink(missing_ok=True)


def test_a_channel_that_failed_is_told_again_and_the_other_is_not(
    alerting: Home, webhook: Heard, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    set_channels(alerting, command=writes(told), webhook=webhook.address, repeat_minutes=60)
    webhook.status = 503
    now = datetime.now(UTC)
    first = look_and_send(alerting, nothing_failed, State(), now)
    assert first.failures == {"webhook": "the webhook answered 503"} and first.sent.keys() == {"command"}
    assert [f.state for f in findings(alerting, now)] == ["wrong"]
    text = told.read_text("utf-8")
    assert "2 new emergency rows" in text and "1 form could not be read, 1 with an emergency answer" in text

    webhook.status = 200
    second = look_and_send(alerting, nothing_failed, first.state, now + timedelta(minutes=1))
    assert second.failures == {} and second.sent.keys() == {"webhook"}
    assert told.read_text("utf-8") == text
    assert webhook.bodies[0]["alerts"] == webhook.bodies[1]["alerts"]
    third = look_and_send(alerting, nothing_failed, second.state, now + timedelta(minutes=2))
    assert third.sent == {}
    # half an hour on, north's emergencies stand unacknowledged; its own minutes count, not those of south
    fourth = look_and_send(alerting, nothing_failed, third.state, now + timedelta(minutes=40))
    assert fourth.sent == {"command": 1, "webhook": 1}
    (alert,) = webhook.bodies[-1]["alerts"]
    assert (alert["kind"], alert["clinic"], alert["count"]) == ("unacknowledged_emergency", "north", 2)
    assert [f.state for f in findings(alerting, now + timedelta(minutes=41))] == ["ok"]
    assert [f.state for f in findings(alerting, now + timedelta(hours=2))] == ["wrong"]

    everything = (
        told.read_text("utf-8")
        + json.dumps(webhook.bodies)
        + fourth.state.model_dump_json()
        + (alerting.root / "alerts.json").read_text("utf-8")
    )
    assert not [canary for canary in CANARIES if canary in everything]


def test_a_damaged_clinic_hides_no_other(alerting: Home) -> None:
    snapshot = current_snapshot(alerting)
    file = snapshot.files["north"]
    whole = file.read_bytes()
    file.chmod(0o600)
    try:
        file.write_bytes(b"x" * len(whole))
        kinds = {(a.kind, a.clinic) for a in standing(alerting, nothing_failed, datetime.now(UTC))}
    finally:
        file.write_bytes(whole)
        file.chmod(0o400)
    assert {("snapshot", "north"), ("new_emergency", "south"), ("unread_forms", "south")} <= kinds


def test_a_warehouse_held_for_long_is_told_and_nothing_waits_for_it(alerting: Home, tmp_path: Path) -> None:
    set_channels(alerting, command=writes(tmp_path / "told"))
    begun, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with opened(alerting, "a long run"):
            begun.set()
            ended.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(60)
    try:
        now = datetime.now(UTC)
        first = look_and_send(alerting, nothing_failed, State(), now)
        assert "a long run" in first.state.busy and "a long run" not in (tmp_path / "told").read_text("utf-8")
        look_and_send(alerting, nothing_failed, first.state, now + timedelta(minutes=31))
    finally:
        ended.set()
        holder.join()
    assert "nothing can be taken in or published" in (tmp_path / "told").read_text("utf-8")


def test_an_empty_home_deserves_no_alert(home: Home) -> None:
    assert standing(home, nothing_failed, NOW) == []
    home.warehouse.write_bytes(b"nothing of a database")
    assert {alert.kind for alert in standing(home, nothing_failed, NOW)} == {"snapshot", "warehouse"}


# ---------------------------------------------------------------------------------------------- Dagster and commands


@dg.op
def load_batch() -> None:
    raise dg.Failure("broken")


@dg.op
def snapshot() -> None:
    raise dg.Failure("held")


@dg.job
def intake() -> None:
    load_batch()


@dg.job
def publication() -> None:
    snapshot()


def test_the_sensor_tells_of_failed_runs_once(alerting: Home, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        silent = sensor(dg.build_sensor_context(instance=instance))
        assert silent.skip_reason.skip_message == NO_CHANNEL
        set_channels(alerting, command=writes(told))
        for job in (intake, intake, publication):
            assert not job.execute_in_process(instance=instance, raise_on_error=False).success
        now = datetime.now(UTC)
        assert failed_between(instance, now - HOUR, now + HOUR) == Failed({"intake, load_batch": 2}, 1)
        assert failed_between(instance, now + HOUR, now + 2 * HOUR) == NONE_FAILED
        landed = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("landed_files"),
            check_name="nothing_waits",
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={LEFT_FOR_LONG: 3},
        )
        instance.report_runless_asset_event(landed)

        first = sensor(dg.build_sensor_context(instance=instance))
        assert "command:" in first.skip_reason.skip_message and not first.run_requests
        text = told.read_text("utf-8")
        assert "2 runs failed (intake, load_batch 2)" in text and "1 publication held back or failed" in text
        assert "3 files of the landing folder still not taken in" in text
        second = sensor(dg.build_sensor_context(instance=instance, cursor=first.cursor))
        assert second.skip_reason.skip_message == "nothing new to tell"
        assert told.read_text("utf-8") == text
    assert not [canary for canary in CANARIES if canary in text + str(first.cursor) + str(first.skip_reason)]


def test_the_sensor_says_what_did_not_get_out(alerting: Home, tmp_path: Path) -> None:
    set_channels(alerting, webhook="http://127.0.0.1:1/secret")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        failed = sensor(dg.build_sensor_context(instance=instance))
    assert "webhook: NOT DELIVERED" in failed.skip_reason.skip_message
    assert "secret" not in failed.skip_reason.skip_message
    assert State.read(failed.cursor).channels["webhook"] == ChannelState()


def test_broken_settings_fail_the_tick_with_a_sentence(alerting: Home, tmp_path: Path) -> None:
    (alerting.root / "settings.toml").write_text('[alerts]\nwebhook = "ftp://x"\n', "utf-8")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        pytest.raises(dg.Failure, match=r"check alerts\.webhook"),
    ):
        sensor(dg.build_sensor_context(instance=instance))


def test_the_command_shows_and_tests(alerting: Home, tmp_path: Path, webhook: Heard) -> None:
    run = CliRunner().invoke
    shown = run(main, ["alerts"])
    assert shown.exit_code == 0 and "2 new emergency rows" in shown.output and NO_CHANNEL in shown.output
    assert run(main, ["alerts", "--test"]).exit_code == 4
    set_channels(alerting, command=writes(tmp_path / "told"), webhook=webhook.address)
    tested = run(main, ["alerts", "--test"])
    assert tested.exit_code == 0 and tested.output.splitlines() == ["command: delivered", "webhook: delivered"]
    assert "this is a test of the alerts" in (tmp_path / "told").read_text("utf-8")
    assert "emergency" not in (tmp_path / "told").read_text("utf-8")
    webhook.status = 500
    assert run(main, ["alerts", "--test"]).exit_code == 4


def test_doctor_notes_who_is_told(home: Home) -> None:
    assert [(f.state, f.sentence) for f in findings(home)] == [("note", NO_CHANNEL)]
    (home.root / "settings.toml").write_text('[alerts]\ncommand = ["true"]\n', "utf-8")
    assert [f.state for f in findings(home)] == ["note"]
    write_report(home, Report(NOW, {}))
    assert [f.state for f in findings(home, NOW)] == ["ok"]
