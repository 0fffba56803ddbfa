"""What clinicians enter on the page: rows that the intake takes, one a form, nothing half, and seen at once."""

from __future__ import annotations

import errno
import hashlib
import html
import itertools
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipelines.changes import withdrawal
from pipelines.page.entry_forms import entries
from pipelines.page.entry_forms.entry_check import cells_of, check
from pipelines.page.visit import Visit, shown_to
from schemas.contract import Split
from schemas.decisions import split_decisions
from schemas.outcomes import nameable_conditions, split_outcomes
from schemas.safety_concerns import split_safety_concerns
from tests.commands import Done
from tests.forked import KILLED, Commands
from tests.page_server import client
from tests.published_home import RULE, at, published, score, take_in
from warehouse import entered, intake, landing
from warehouse.entered_rows import TIME_OF, Contents, columns_of, to_csv
from warehouse.formats.recognise import opened_source
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.sources import pending_batches
from warehouse.store import opened
from warehouse.withdrawing import erasure

if TYPE_CHECKING:
    pass

TOKENS = {name: f"token-of-{name}-0123456789abcdef" for name in ("anna", "rita", "olga")}
SETTINGS = 'data_kind = "sample"\n[clinics.north]\nzone = "Europe/Berlin"\nacknowledge_minutes = 30\n'
PEOPLE = "".join(
    f'[people.{who}]\nname = "Dr {who.title()} Berg"\nrole = "{role}"\nclinics = ["{clinic}"]\n'
    f'token_sha256 = "{hashlib.sha256(TOKENS[who].encode()).hexdigest()}"\n'
    for who, role, clinic in (
        ("anna", "clinician", "north"),
        ("rita", "reader", "north"),
        ("olga", "clinician", "south"),
    )
)
EMERGENCY, PLAIN, OTHERS = "n-0", "n-1", "s-0"
FOUND = {"attended": "yes", "confirmed_condition": "labral_tear", "found_by": "imaging"}
# Kind of form, what is filled in, kind of file, and cells of the row that comes of it.
GOOD: list[tuple[str, dict[str, str], Contents, dict[str, str]]] = [
    ("status", {"status": "acknowledged"}, "decision", {"status": "acknowledged", "decided_by": "Dr X"}),
    ("status", {"status": "closed", "reason": "duplicate_record"}, "decision", {"reason": "duplicate_record"}),
    ("tier", {"decided_tier": "urgent", "reason": "examined"}, "decision", {"decided_tier": "urgent", "status": ""}),
    ("outcome", FOUND | {"also_1": "synovitis"}, "outcome", FOUND | {"also_confirmed": "synovitis"}),
    ("outcome", {"attended": "no"}, "outcome", {"attended": "no", "found_by": ""}),
    ("concern", {"concern": "red_flag_missed"}, "safety_concern", {"reported_by": "Dr X"}),
]
# Kind of form, what is filled in, and what is said of it.
BAD: list[tuple[str, dict[str, str], str]] = [
    ("status", {"status": "acknowledged", "by": ""}, "give your own name or staff number"),
    ("status", {"status": "acknowledged", "by": "=cmd|x"}, "and a letter or digit first"),
    ("status", {"status": ""}, "choose what you decide"),
    ("status", {"status": "gone"}, "choose one of the answers of the list"),
    ("status", {"status": "closed"}, "choose why the referral is closed"),
    ("tier", {"decided_tier": "urgent"}, "choose what the decision rests on"),
    ("tier", {"decided_tier": "emergency"}, "choose what the decision rests on"),
    ("tier", {"reason": "examined"}, "choose what you decide"),
    ("outcome", {"confirmed_condition": "labral_tear"}, "choose an answer"),
    ("outcome", FOUND | {"confirmed_condition": "gout"}, "choose one of the conditions of the list"),
    ("outcome", {"attended": "no", "confirmed_condition": "labral_tear"}, "nobody came and a condition is confirmed"),
    ("outcome", {"attended": "yes", "confirmed_condition": "labral_tear"}, "nothing says how it was found"),
    ("outcome", {"attended": "yes", "harm": "worsened"}, "whether it was related to the triage"),
    ("concern", {"concern": ""}, "choose an answer"),
]


class _Forms(HTMLParser):
    """The forms of a page: address and hidden fields by what they are for; ids and what labels point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.ids: list[str] = []
        self.labelled: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((told.get("action", ""), {}))
        elif tag == "input" and told.get("type") == "hidden" and self.forms:
            self.forms[-1][1][told["name"]] = told["value"]
        if "id" in told:
            self.ids.append(told["id"])
        if tag == "label" and "for" in told:
            self.labelled.append(told["for"])


def make_home(folder: Path) -> Home:
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text(SETTINGS)
    records = [{"record_id": f"n-{number}", "submitted_at": at(number / 10)} for number in range(3)]
    take_in(home, "north", records, folder)
    take_in(home, "south", [{"record_id": OTHERS, "submitted_at": at(0)}], folder)
    urgent = {"tier": "emergency", "red_flags": [RULE]}
    score(home, lambda record: urgent if record["record_id"] in (EMERGENCY, OTHERS) else {"tier_basis": "model"})
    published(home)
    return home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("entries"))


@pytest.fixture
def place(made: Home) -> Iterator[Home]:
    """The home with nothing entered: for tests that publish nothing."""
    yield made
    emptied(made)
    (made.root / "settings.toml").write_text(SETTINGS)


@pytest.fixture
def own(made: Home, tmp_path: Path) -> Home:
    """A home of its own: for tests that publish."""
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root, symlinks=True)
    return home


def emptied(home: Home) -> None:
    for folder in (home.entered, home.landing):
        shutil.rmtree(folder, ignore_errors=True)
    home.access_log.unlink(missing_ok=True)
    home.ensure()


@shown_to("worklist")
def _late(visit: Visit) -> Response:
    """What the worklist's template is given of emergencies, ``minutes`` from now."""
    visit = replace(visit, now=visit.now + timedelta(minutes=int(visit.query["minutes"])))
    with visit.reading() as connection:
        late = entries.unacknowledged(visit, connection)
    shown = [{key: one[key] for key in ("clinic", "record", "minutes", "headline")} for one in late]
    return JSONResponse({"late": shown, "troubles": entries.troubles(visit, visit.clinics)})


class Clinician:
    """Somebody at the page of a home: the person at the machine, or one who signs in with a token."""

    def __init__(self, home: Home, who: str = "") -> None:
        self.home = home
        self.browser = client(home)
        self.browser.app.router.routes.insert(0, Route("/late", _late))
        if who:
            token = re.search(r'name="form_token" value="([^"]+)"', self.browser.get("/sign-in").text)
            assert token
            sent = self.browser.post("/sign-in", data={"form_token": token[1], "token": TOKENS[who]})
            assert sent.status_code == 303, sent.text

    def opened(self, record: str = PLAIN, clinic: str = "north") -> str:
        answer = self.browser.get("/record", params={"clinic": clinic, "record": record})
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def form(self, kind: str, record: str = PLAIN, clinic: str = "north") -> dict[str, str]:
        """The hidden fields of the first form of this kind, and a name."""
        text = self.opened(record, clinic)
        return next(fields for action, fields in _Forms(text).forms if action == f"/enter/{kind}") | {"by": "Dr X"}

    def send(self, kind: str, fields: Mapping[str, str]) -> Any:
        return self.browser.post(f"/enter/{kind}", data=dict(fields))

    def enter(self, kind: str, record: str = PLAIN, **fields: str) -> Any:
        return self.send(kind, self.form(kind, record) | fields)

    def late(self, minutes: int) -> dict[str, Any]:
        return dict(self.browser.get(f"/late?minutes={minutes}").json())


def files(folder: Path) -> list[Path]:
    """Files that count, of a folder of entries or of landing."""
    return sorted(file for file in folder.glob("*/*") if file.is_file() and not file.name.startswith("."))


def rows(home: Home, table: str) -> list[dict[str, Any]]:
    with connect(current_snapshot(home)) as connection:
        return list(connection.execute(f"FROM {table}").to_arrow_table().to_pylist())


def run(home: Home) -> None:
    """Take in, load and publish, as ``hiptriage run`` does."""
    landing.take_in(home)
    for batch_id in pending_batches(home):
        intake.load(home, batch_id)
    erasure.go_on(home)
    published(home)


SPLIT: dict[Contents, Callable[..., Split]] = {
    "decision": split_decisions,
    "outcome": lambda cells, **named: split_outcomes(cells, conditions=nameable_conditions(), **named),
    "safety_concern": split_safety_concerns,
}


def taken_in(file: Path, contents: Contents) -> dict[str, Any]:
    """The one row of a file as the intake reads it."""
    with opened_source(file) as source:
        assert tuple(source.header.columns) == columns_of(contents)
        (block,) = source.blocks(columns_of(contents))
        split = SPLIT[contents](block.cells.drop("row"), clinic="north", received_at=datetime.now(UTC))
    assert split.rejections.is_empty()
    (row,) = split.accepted.to_dicts()
    return dict(row)


@pytest.mark.parametrize(("kind", "filled", "contents", "expected"), GOOD)
def test_an_entry_is_a_file_for_the_pipeline_and_shown_at_once(
    place: Home, kind: str, filled: dict[str, str], contents: Contents, expected: dict[str, str]
) -> None:
    someone = Clinician(place)
    before = datetime.now(UTC)
    answer = someone.enter(kind, **filled)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/record?clinic=north&record={PLAIN}#entries")
    (kept,), (landed,) = files(place.entered), files(place.landing)
    assert kept.name == f"{hashlib.sha256(kept.read_bytes()).hexdigest()}.csv"
    assert landed == place.landing / "north" / f"entered-{kept.name[:16]}.csv"
    assert landed.read_bytes() == kept.read_bytes()
    assert {oct(file.stat().st_mode)[-3:] for file in (kept, landed)} == {"600"}
    row = taken_in(landed, contents)
    assert before <= row[TIME_OF[contents]] <= datetime.now(UTC)
    assert row["submitted_at"] == at(0.1)
    (entry,) = entered.kept(place, "north").entries
    assert entry.cells.items() >= (expected | {"record_id": PLAIN, "clinic_id": "north"}).items()
    assert entry.made_at.utcoffset() in (timedelta(hours=1), timedelta(hours=2))  # Berlin
    assert "entered, not yet published: " in someone.opened()
    (line,) = [line for line in place.access_log.read_text().splitlines() if '"enter"' in line]
    logged = json.loads(line.partition(" ")[2])
    assert logged == {
        "who": "local", "role": "local", "what": "enter", "status": 200, "clinic": "north", "record": PLAIN,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "filled", "told"), BAD)
def test_what_the_contract_refuses_is_told_on_the_form_and_not_written(
    place: Home, kind: str, filled: dict[str, str], told: str
) -> None:
    answer = Clinician(place).enter(kind, **filled)
    assert answer.status_code == 422
    assert told in answer.text
    assert not [*files(place.entered), *files(place.landing)]
    for typed in set(filled.values()) & {"urgent", "examined", "labral_tear", "worsened", "imaging"}:
        assert f'<option value="{typed}" selected>' in answer.text
    page = _Forms(answer.text)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labelled) <= set(page.ids)


def test_a_name_that_was_typed_is_kept_and_escaped(place: Home) -> None:
    answer = Clinician(place).enter("status", status="closed", by='"><script>')
    assert 'value="&#34;&gt;&lt;script&gt;"' in answer.text
    assert "<script>" not in answer.text


def test_a_doubt_is_asked_once_and_entered_when_it_stands(place: Home) -> None:
    someone = Clinician(place)
    doubtful = someone.form("outcome") | {"attended": "yes", "found_by": "imaging"}
    assert "Enter it as it stands" in someone.send("outcome", doubtful).text
    assert someone.send("outcome", doubtful | {"as_it_stands": "yes"}).status_code == 303
    assert len(files(place.landing)) == 1


def test_the_same_form_sent_twice_is_one_entry(place: Home) -> None:
    someone = Clinician(place)
    form = someone.form("tier") | {"decided_tier": "urgent", "reason": "examined"}
    assert [someone.send("tier", form).status_code for _ in range(3)] == [303] * 3
    assert len(files(place.landing)) == 1
    other = someone.form("status") | {"status": "booked"}
    assert someone.send("status", other).status_code == 303
    assert len(files(place.landing)) == 2


def test_forms_sent_at_the_same_instant_all_stand_and_each_once(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    instant = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls.fromtimestamp(instant.timestamp(), tz)

    monkeypatch.setattr("pipelines.page.entry_forms.entering.datetime", Clock)
    people = [Clinician(place) for _ in range(3)]
    forms = [person.form("status") | {"status": "acknowledged", "by": f"Dr {n}"} for n, person in enumerate(people)]
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda p=person, f=form: codes.append(p.send("status", f).status_code))
        for person, form in [*zip(people, forms, strict=True)] * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [303] * 6
    made = entered.kept(place, "north").entries
    assert {entry.by for entry in made} == {"Dr 0", "Dr 1", "Dr 2"}
    assert len({entry.made_at for entry in made}) == len(made) == 3


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"submitted_at": at(0).isoformat()}, "a newer form came in"),
        ({"shown": "0" * 16}, "the tier or its red flags changed"),
    ],
)
def test_what_is_no_longer_on_the_screen_is_not_decided_on(place: Home, changed: dict[str, str], told: str) -> None:
    someone = Clinician(place)
    answer = someone.send("status", someone.form("status") | {"status": "acknowledged"} | changed)
    assert answer.status_code == 409
    assert told in answer.text
    assert not files(place.entered)
    again = next(fields for action, fields in _Forms(answer.text).forms if action == "/enter/status")
    assert someone.send("status", again | {"status": "acknowledged", "by": "Dr X"}).status_code == 303


def test_a_decision_made_meanwhile_is_looked_at_before_another_and_hinders_no_acknowledgement(place: Home) -> None:
    first, second = Clinician(place), Clinician(place)
    seen, tier, acknowledge = (second.form(kind) for kind in ("status", "tier", "status"))
    assert first.enter("tier", decided_tier="emergency", reason="telephone").status_code == 303
    for kind, form in (
        ("tier", tier | {"decided_tier": "soon", "reason": "examined"}),
        ("status", seen | {"status": "seen"}),
    ):
        answer = second.send(kind, form)
        assert (answer.status_code, "somebody decided on a tier" in answer.text) == (409, True)
    assert second.send("status", acknowledge | {"status": "acknowledged"}).status_code == 303
    assert "Once published: acknowledged, tier EMERGENCY" in second.opened()


def test_lowering_below_a_fired_rule_takes_a_second_step_and_a_name(place: Home) -> None:
    someone = Clinician(place)
    form = someone.form("tier", EMERGENCY) | {"decided_tier": "soon", "reason": "examined"}
    nameless = someone.send("tier", form | {"by": " "})
    assert (nameless.status_code, "give your own name" in nameless.text) == (422, True)
    first = someone.send("tier", form)
    assert first.status_code == 200
    assert RULE["text"] in first.text
    assert RULE["source"] in first.text
    assert not files(place.entered)
    (second,) = [fields for action, fields in _Forms(first.text).forms if action == "/enter/tier"]
    assert someone.send("tier", second).status_code == 422
    assert not files(place.entered)
    assert someone.send("tier", second | {"read": "yes"}).status_code == 303
    assert RULE["text"] in someone.opened(EMERGENCY)
    same = someone.enter("tier", EMERGENCY, decided_tier="emergency", reason="examined")
    assert same.status_code == 303


def test_who_may_not_enter_does_not(place: Home) -> None:
    (place.root / "settings.toml").write_text(SETTINGS + PEOPLE)
    anna, rita, olga = (Clinician(place, who) for who in TOKENS)
    form = anna.form("status") | {"status": "acknowledged"}
    assert "/enter/status" not in rita.opened()

    def sent(someone: Clinician, **changed: str) -> int:
        token = re.search(r'name="form_token" value="([^"]+)"', someone.browser.get("/enter/concern").text)
        own = {"form_token": token[1] if token else ""}
        return int(someone.send("status", form | own | changed).status_code)

    assert sent(rita) == 403
    assert sent(olga) == 404  # another clinic's record
    assert sent(anna, clinic="south", record=OTHERS) == 404
    assert sent(anna, record="nobody") == 404
    assert sent(anna, nonce="../../x") == 400
    assert sent(anna, form_token="") == 403
    assert not files(place.entered)
    assert anna.send("status", form | {"by": "Somebody Else"}).status_code == 303
    (entry,) = entered.kept(place, "north").entries
    assert entry.by == "Dr Anna Berg"


def test_nothing_is_entered_where_the_landing_folder_takes_other_records(place: Home) -> None:
    (place.root / "settings.toml").write_text(SETTINGS.replace("sample", "live"))
    someone = Clinician(place)
    assert "Nothing can be entered" in someone.opened()
    form = {"clinic": "north", "record": PLAIN, "nonce": "0" * 32, "status": "seen"}
    token = re.search(r'name="form_token" value="([^"]+)"', someone.opened())
    assert someone.send("status", form | ({"form_token": token[1]} if token else {})).status_code in (403, 409)
    assert not files(place.entered)


@pytest.mark.parametrize("kind", ["no landing folder", "disk full", "no folder for entries"])
def test_what_cannot_be_written_is_said_and_nothing_half_is_left(
    place: Home, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = Clinician(place)
    form = someone.form("status") | {"status": "acknowledged"}
    if kind == "no landing folder":
        place.landing.rmdir()
    elif kind == "disk full":
        writes = itertools.count()

        def full(_: int) -> None:
            if next(writes) >= 2:  # the copy for landing, when all else is written
                raise OSError(errno.ENOSPC, "No space left on device", "/secret/path")

        monkeypatch.setattr(os, "fsync", full)
    else:
        shutil.rmtree(place.entered)
        place.entered.write_text("a file")
    answer = someone.send("status", form)
    monkeypatch.undo()
    assert answer.status_code == 503
    assert re.search(r"Nothing was entered: it could not be written \([^/)]+\)\. Tell the analyst\.", answer.text)
    if place.entered.is_file():
        place.entered.unlink()
    left = [file for folder in (place.entered, place.landing) for file in folder.glob("*/*") if file.name != ".lock"]
    assert left == []
    place.ensure()
    assert someone.send("status", form).status_code == 303


def test_a_concern_about_the_program_names_no_record(place: Home) -> None:
    someone = Clinician(place)
    assert "For which clinic?" in someone.browser.get("/enter/concern").text
    text = someone.browser.get("/enter/concern?clinic=north").text
    (fields,) = [fields for action, fields in _Forms(text).forms if action == "/enter/concern"]
    answer = someone.send("concern", fields | {"concern": "page_or_program", "by": "Dr X"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/enter/concern?clinic=north")
    (file,) = files(place.landing)
    assert taken_in(file, "safety_concern")["record_id"] is None
    assert (
        "not yet published: safety concern: this page or the program"
        in someone.browser.get("/enter/concern?clinic=north").text
    )


def test_an_emergency_leaves_the_red_block_at_once(place: Home) -> None:
    someone = Clinician(place)
    assert someone.late(29)["late"] == []
    late = someone.late(31)["late"]
    assert [(one["clinic"], one["record"]) for one in late] == [("north", EMERGENCY)]  # south waits an hour
    assert late[0]["minutes"] >= 31
    assert len(someone.late(61)["late"]) == 2
    assert len(someone.late(-10)["late"]) == 2  # here since a time to come: a clock was wrong
    someone.enter("tier", EMERGENCY, decided_tier="emergency", reason="telephone")
    assert len(someone.late(31)["late"]) == 1
    someone.enter("status", EMERGENCY, status="acknowledged")
    assert someone.late(31)["late"] == []


def test_a_cut_off_entry_is_handed_on_by_the_next_look(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise Cut

    someone = Clinician(place)
    form = someone.form("status") | {"status": "booked"}
    with monkeypatch.context() as patched:
        patched.setattr(entered, "_hand_on", cut)
        with pytest.raises(Cut):
            someone.send("status", form)
    assert (len(files(place.entered)), len(files(place.landing))) == (1, 0)
    assert "entered, not yet published: booked by Dr X" in someone.opened()
    assert len(files(place.landing)) == 1
    files(place.landing)[0].unlink()
    client(place)  # the page is started again
    assert len(files(place.landing)) == 1
    assert someone.send("status", form).status_code == 303  # sent again: the same entry
    assert len(files(place.entered)) == 1


def test_a_damaged_entry_is_said_and_hides_no_other(place: Home) -> None:
    someone = Clinician(place)
    someone.enter("status", status="booked")
    (place.entered / "north" / f"{'0' * 64}.csv").write_text("nothing of ours")
    assert someone.late(0)["troubles"] == [
        "Entries of this page that cannot be read any more, and nobody knows what they said: 1. Tell the analyst."
    ]
    assert "not yet published: booked" in someone.opened()


def test_published_entries_wait_no_more_and_are_let_go_of(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    someone = Clinician(own)
    someone.enter("status", status="booked")
    someone.enter("tier", decided_tier="urgent", reason="examined")
    someone.enter("outcome", **FOUND)
    assert "Once published: seen, tier URGENT" in someone.opened()
    assert {row["status"] for row in rows(own, "referrals") if row["record_id"] == PLAIN} == {"open"}
    run(own)
    (row,) = [row for row in rows(own, "referrals") if row["record_id"] == PLAIN]
    assert (row["status"], row["effective_tier"], row["decided_by"]) == ("seen", "urgent", "Dr X")
    assert "not yet published" not in someone.opened()
    assert len(files(own.entered)) == 3  # a page that was begun before may still show the table of before
    monkeypatch.setattr(entries, "TABLE_IN_USE", timedelta(0))
    someone.opened()
    assert files(own.entered) == []
    assert len(files(own.landing)) == 3
    # They stay there for years: the warehouse is not opened again for each of them.
    monkeypatch.setattr(landing, "register", None)
    assert landing.take_in(own) == landing.TakenIn(new=0, known=3, left=0)
    assert len(rows(own, "decisions")) == 2


def test_what_the_intake_refuses_is_told_and_changes_nothing(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "TABLE_IN_USE", timedelta(0))
    someone = Clinician(own)
    someone.enter("status", EMERGENCY, status="acknowledged")
    (file,) = files(own.landing)
    other = file.read_text().replace("acknowledged", "booked")
    (file.parent / "0.csv").write_text(other.replace("n-0", PLAIN))
    (file.parent / "1.csv").write_text(other)  # another decision at the same time, which arrives first
    run(own)
    text = someone.opened(EMERGENCY)
    assert "could not be taken in, ask the analyst: acknowledged by Dr X" in text
    assert "Once published" not in text
    assert "could not be taken in and change nothing: 1" in " ".join(someone.late(0)["troubles"])
    assert len(files(own.entered)) == 1
    with opened(own, "test") as connection:  # the analyst has dealt with it
        connection.execute("DELETE FROM intake_quarantine")
    run(own)
    assert "could not be taken in" not in someone.opened(EMERGENCY)
    assert files(own.entered) == []


def withdraw(home: Home, how: Any) -> None:
    wish = withdrawal.Wish(how=how, even_decided=True)
    named, agreed = withdrawal.named_by("north", PLAIN, None, ()), withdrawal.agree("Dr A", "patient_request")
    with holding(home, "test"):
        assert withdrawal.withdraw(home, named, agreed, wish, confirmed=True, say=lambda _: None) == "changed"


def test_an_erasure_takes_what_waits_with_it(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "TABLE_IN_USE", timedelta(0))
    someone = Clinician(own)
    someone.enter("status", status="booked")
    run(own)
    before = someone.form("status") | {"status": "seen"}
    someone.enter("concern", concern="tier_too_low")
    someone.enter("status", "n-2", status="booked")
    withdraw(own, "erase")
    late = someone.send("status", before)  # on a page that was opened before
    assert late.status_code == 303
    assert len(files(own.entered)) == 3
    run(own)
    erasure.end(own)
    assert ["n-2" in file.read_text() for file in files(own.entered)] == [True]
    someone.browser.get("/")
    # what was published before lay in landing under the page's own name: nobody else would look for it there
    assert not [file for file in files(own.landing) if PLAIN in file.read_text()]
    assert erasure.left_in_landing(own) == 0


def test_entries_on_a_hidden_record_are_handed_on_and_let_go_of(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "TABLE_IN_USE", timedelta(0))
    someone = Clinician(own)
    someone.enter("status", status="booked")
    withdraw(own, "restrict")
    run(own)
    assert someone.late(0)["troubles"] == []
    assert files(own.entered) == []
    with opened(own, "test") as connection:
        assert connection.execute("SELECT status FROM decision").fetchall() == [("booked",)]


def cut_off(home: Home) -> None:
    """Called in a process of its own, which is killed before it hands the entry on."""
    Clinician(home).enter("status", status="booked")


@pytest.mark.slow
def test_a_killed_page_loses_no_entry(own: Home, commands: Commands) -> None:
    done = commands.call(f"{__name__}:cut_off", home=own.root, step="warehouse.entered:_hand_on:before")
    assert done.code == KILLED, done.err
    assert (len(files(own.entered)), len(files(own.landing))) == (1, 0)
    assert "entered, not yet published: booked" in Clinician(own).opened()
    run(own)
    assert [row["status"] for row in rows(own, "decisions")] == ["booked"]


@pytest.mark.slow
def test_what_is_entered_comes_back_with_the_next_run(sample_home: Home, commands: Commands, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(sample_home.root, home.root, symlinks=True)
    someone, clinic = Clinician(home), "sample-clinic"
    with connect(current_snapshot(home), clinic) as connection:
        flagged = connection.execute(
            "SELECT record_id, red_flags[1].text FROM referrals WHERE len(red_flags) > 0 ORDER BY record_id LIMIT 3"
        ).fetchall()
    (record, _), (lowered, rule), (seen, _) = flagged

    def enter(kind: str, record_id: str, **fields: str) -> Any:
        return someone.send(kind, someone.form(kind, record_id, clinic) | fields)

    assert enter("status", record, status="acknowledged").status_code == 303
    (step,) = [
        fields
        for action, fields in _Forms(enter("tier", lowered, decided_tier="routine", reason="examined").text).forms
        if action == "/enter/tier"
    ]
    assert someone.send("tier", step | {"read": "yes"}).status_code == 303
    assert enter("outcome", seen, **FOUND).status_code == 303
    assert enter("concern", seen, concern="tier_too_low").status_code == 303
    done: Done = commands("run", home=home.root, with_dagster=False)
    assert done.code in (0, 3), done.err
    by_record = {row["record_id"]: row for row in rows(home, "referrals") if row["clinic_id"] == clinic}
    assert by_record[record]["status"] == "acknowledged"
    after = by_record[lowered]
    assert (after["decided_tier"], after["effective_tier"], after["decided_by"]) == ("routine", "routine", "Dr X")
    assert rule in [flag["text"] for flag in after["red_flags"]]
    assert html.escape(rule, quote=True) in someone.opened(lowered, clinic).replace("&#34;", "&quot;")
    assert by_record[seen]["status"] == "seen"
    assert [row["confirmed_condition"] for row in rows(home, "outcomes")] == ["labral_tear"]
    assert [row["concern"] for row in rows(home, "safety_concerns")] == ["tier_too_low"]
    for shown in (record, lowered, seen):
        assert "not yet published" not in someone.opened(shown, clinic)


TYPED = st.text(max_size=80) | st.sampled_from(sorted({value for _, filled, *_ in GOOD for value in filled.values()}))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.sampled_from(["decision", "outcome", "safety_concern"]), data=st.data())
def test_whatever_is_typed_comes_back_as_one_accepted_row_or_is_not_written(
    tmp_path: Path, contents: Contents, data: st.DataObject
) -> None:
    names = [*columns_of(contents), "also_1", "also_2", "record"]
    filled = {name: data.draw(TYPED) for name in data.draw(st.sets(st.sampled_from(names)))}
    now = datetime.now(UTC)
    cells = cells_of(contents, filled, data.draw(TYPED | st.just("Dr O'Neil, \"x"))) | {
        "record_id": PLAIN,
        "clinic_id": "north",
        "submitted_at": at(0).isoformat(),
        TIME_OF[contents]: now.isoformat(),
    }
    checked = check(contents, "north", cells, now)
    if checked.errors:
        return
    file = tmp_path / "entry.csv"
    file.write_bytes(to_csv(contents, checked.cells))
    row = taken_in(file, contents)
    assert {column: row[column] for column in cells if isinstance(row[column], str)} == {
        column: cell for column, cell in checked.cells.items() if cell and isinstance(row[column], str)
    }
