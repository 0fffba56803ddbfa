"""A record in full, its printed sheet and what if, in process: real records, scored and published by a real run."""

from __future__ import annotations

import csv
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.judging import _AGE_BANDS
from pipelines.differential_words import groups, percent
from pipelines.finding_words import question_words
from pipelines.page import sensitive
from pipelines.page.records import referral_print
from pipelines.page.records.answers_shown import answers_shown
from pipelines.page.records.validation import AGE_BANDS
from pipelines.what_if import Compared, WhatIfRefused, compare
from schemas.form import form, questions
from schemas.problems import problems
from schemas.sensitive_parts import sensitive_columns
from tests.forked import Commands
from tests.page_people import PAGE, PEOPLE, entries, signed_in, token_in
from tests.page_server import client
from warehouse import answers_copy
from warehouse.home import PACKAGE, Home
from warehouse.snapshot_reading import connect, current_snapshot

if TYPE_CHECKING:
    from starlette.testclient import TestClient

CLINIC = '[clinics.north]\nzone = "Europe/Berlin"\nphone = "+49 30 1234"\n'
Asking = Callable[[str], "TestClient"]
SETTINGS = 'data_kind = "sample"\n' + PAGE + PEOPLE + CLINIC
NOTES = "<script>alert('notes canary')</script>\nsecond line"
# A record that states sensitive things, in two versions, the later one of which leaves a fever and a site out.
TOLD = {
    "age_years": "31",
    "sex": "female",
    "side": "left",
    "pain_site__groin": "1",
    "duration_weeks": "3",
    "weight_bearing": "limp",
    "runner_level": "competitive",
    "history__pregnant": "1",
    "history__menstrual_irregularity": "0",
    "neuro__sexual_function": "0",
    "imaging__xray": "normal",
    "local__none_of_these": "1",
    "night_pain": "0",
    "notes": NOTES,
}
CHILD = {"age_years": "13", "sex": "male", "side": "right", "pain_site__knee": "1", "weight_bearing": "limp"}
BARE = {"submitted_at": "2026-11-02T08:00:00Z"}
# Answers that a record may get: column and answer; each is tried on the bundled records that lack it.
ANSWERS = (
    ("systemic__fever", "1"),
    ("weight_bearing", "cannot"),
    ("temperature_c", "39.5"),
    ("age_years", "12"),
    ("history__prior_stress_fracture", "1"),
    ("night_pain", "0"),
    ("crp_mg_l", "0.125"),
    ("pain_now", "9"),
    ("imaging__xray", "normal"),
)
SAMPLE_ANSWERS: dict[str, object] = {"yesno": False, "integer": 1, "number": 0.5}
ALIKE = (
    *("headline", "special", "tier", "tier_basis", "tier_reason", "destination", "first_imaging", "red_flags"),
    *("rule_status", "questions_to_ask", "prediction_set", "until_seen", "self_care", "safety_net", "review_reason"),
    *("needs_review", "contributing_factors"),
)


def bundled(some: int) -> list[dict[str, str]]:
    """Forms of the bundled clinic that no other form touches."""
    with (PACKAGE / "bundled" / "sample-clinic.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["clinic_id"] == "sample-clinic"]
    once = [row for row in rows if sum(other["record_id"] == row["record_id"] for other in rows) == 1]
    return [row | {"patient_key": ""} for row in once if not row["notes"]][:some]


@pytest.fixture(scope="module")
def tried() -> dict[str, tuple[str, str, str]]:
    """By record that has an answer: the record without it, the column and the answer."""
    found = {}
    for number, (row, place) in enumerate((row, place) for row in bundled(6) for place in range(len(ANSWERS))):
        column, answer = ANSWERS[place]
        if not row[column] and (number + place) % 3 == 0:
            found[f"with-{number}"] = (row["record_id"], column, answer)
    return found


@pytest.fixture(scope="module")
def home(
    commands: Commands, tmp_path_factory: pytest.TempPathFactory, tried: Mapping[str, tuple[str, str, str]]
) -> Home:
    """A published home of two clinics; its settings name the people of ``tests.page_people``."""
    folder = tmp_path_factory.mktemp("records")
    home = Home(folder / "home")
    home.ensure()
    rows = {row["record_id"]: row for row in bundled(6)}
    copies = [rows[of] | {"record_id": record, column: answer} for record, (of, column, answer) in tried.items()]
    own = [
        TOLD | {"record_id": "told", "submitted_at": "2026-11-01T08:00:00Z", "systemic__fever": "1", "notes": ""},
        TOLD | {"record_id": "told", "submitted_at": "2026-11-02T08:00:00Z"},
        CHILD | BARE | {"record_id": "child"},
        BARE | {"record_id": "bare"},
        # The same again, with one answer more in the later version.
        TOLD | {"record_id": "told-hip", "submitted_at": "2026-11-01T08:00:00Z", "systemic__fever": "1", "notes": ""},
        TOLD | {"record_id": "told-hip", "submitted_at": "2026-11-02T08:00:00Z", "exam__log_roll": "1"},
    ]
    take_in(commands, home, "north", [*rows.values(), *copies, *own], folder)
    take_in(commands, home, "south", [CHILD | BARE | {"record_id": "elsewhere"}], folder)
    (home.root / "settings.toml").write_text(SETTINGS)
    return home


def take_in(commands: Commands, home: Home, clinic: str, rows: list[dict[str, str]], folder: Path) -> None:
    file, rows = folder / f"{clinic}.csv", [row | {"clinic_id": clinic} for row in rows]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows(rows)
    done = commands("run", file, "--data-kind", "sample", home=home.root, with_dagster=False)
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def asking(home: Home) -> Iterator[Callable[[str], TestClient]]:
    """A browser that somebody has signed in with, by their name in ``tests.page_people``."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(signed_in(home, name)))


def row_of(home: Home, record: str, clinic: str = "north") -> dict[str, Any]:
    with connect(current_snapshot(home), clinic) as connection:
        found = connection.execute("SELECT * FROM referrals WHERE record_id = ?", [record])
        return dict(zip([column[0] for column in found.description], found.fetchone() or (), strict=True))


def text_of(page: str) -> str:
    """What a reader sees of a page, without its tags."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


def address(record: str, page: str = "record", clinic: str = "north") -> str:
    return f"/{page}?clinic={clinic}&record={record}"


def in_order(text: str, parts: list[str]) -> None:
    place = 0
    for part in parts:
        place = text.find(part, place)
        assert place >= 0, part


def test_a_record_is_told_in_the_order_in_which_a_clinician_reads_it(home: Home, asking: Asking) -> None:
    row = row_of(home, "told")
    text = text_of(asking("anna").get(address("told")).text)
    in_order(
        text,
        [
            row["headline"],
            "URGENT" if row["effective_tier"] == "urgent" else "SAME DAY",
            "See by",
            "CET",
            row["tier_reason"],
            "Where to",
            "First imaging to consider",
            "Red flags that fired",
            row["red_flags"][0]["text"],
            "Source: " + row["red_flags"][0]["source"],
            "not yet signed",
            "Cannot tell",
            "Asked and absent",
            "Not asked",
            "Until seen",
            row["until_seen"][0],
            "Stop: do not wait for this form",
            "What it may be",
            "Most likely",
            "Weights from published figures, not tested on this clinic's patients",
            "Findings for and against",
            "Questions to ask",
            "Contributing factors",
            "Safety net",
            "Self-care advice",
            "Answers",
            "Imaging already done",
            "X-ray for this problem: normal",
            "Carried forward",
            "fever",
            "Stated",
            "Asked and absent",
            "Notes",
            "Earlier records and scores",
            "Basis",
            "People like this one",
            "sex female",
            "Real people: none",
            "Lineage",
            row["intake_hash"],
        ],
    )
    assert "calibrated" not in text
    # in the words of the rules table, not by their ids
    assert not [
        rule["id"] for rule in row["rule_status"] if re.search(rf"\b{rule['id']}\b", text) and "_" in rule["id"]
    ]


@pytest.mark.parametrize(
    ("who", "sees"), [("anna", True), ("rita", False), ("alan", False)], ids=["clinician", "reader", "analyst"]
)
def test_sensitive_answers_and_notes_are_for_clinicians_of_the_clinic(asking: Asking, who: str, sees: bool) -> None:
    page = asking(who).get(address("told")).text
    text = text_of(page)
    assert ("notes canary" in page) == sees
    assert "<script" not in page
    assert ("&lt;script&gt;" in page) == sees
    assert ("pregnancy stated or possible" in text) == sees
    answers = text[text.index("Imaging already done") : text.index("Notes")]
    assert ("Pregnant" in answers) == sees
    assert ("loss of feeling or function during sex" in answers) == sees
    assert ("What if" in text) == sees
    if not sees:
        assert text.count(sensitive.WITHHELD) == 2
        assert "Came with free text, shown to its clinic's clinicians." in text


@pytest.mark.parametrize("page", ["record", "record/print", "record/what-if"])
@pytest.mark.parametrize(
    ("clinic", "record"), [("south", "elsewhere"), ("north", "elsewhere"), ("north", "nobody"), ("east", "told")]
)
def test_another_clinics_record_is_as_none(home: Home, asking: Asking, page: str, clinic: str, record: str) -> None:
    home.access_log.unlink(missing_ok=True)
    assert asking("anna").get(address(record, page, clinic)).status_code == 404
    assert not any("record" in entry for entry in entries(home))


def test_each_opening_is_entered_and_nothing_of_the_patient(home: Home, asking: Asking) -> None:
    home.access_log.unlink(missing_ok=True)
    anna = asking("anna")
    for page in ("record", "record/print", "record/what-if"):
        assert anna.get(address("told", page)).status_code == 200
    told = [(entry["who"], entry["what"], entry["clinic"], entry["record"]) for entry in entries(home)]
    assert told == [("anna", what, "north", "told") for what in ("record", "print", "what_if")]
    assert "canary" not in home.access_log.read_text()


def test_no_percentage_stands_on_a_childs_page_nor_on_paper(home: Home, asking: Asking) -> None:
    anna = asking("anna")
    text = text_of(anna.get(address("child")).text)
    assert "not built for children" in text and "Most likely" in text
    assert not re.search(r"[0-9] ?%", text)
    for record in ("told", "child", "bare"):
        sheet = text_of(anna.get(address(record, "record/print")).text)
        assert not re.search(r"[0-9] ?%", sheet)
        assert sheet.count("Stop: do not wait for this form") == 2
        assert "SAMPLE DATA" in sheet and "As at" in sheet and "sticker" in sheet
        assert "canary" not in sheet
        # the text of a rule that fired or decides is its criterion, and stays
        row = row_of(home, record)
        for text in (row["tier_reason"], *(flag[part] for flag in row["red_flags"] for part in ("text", "source"))):
            sheet = sheet.replace(text, "")
        assert "regnan" not in sheet and "during sex" not in sheet


def test_side_and_site_stand_large_and_their_absence_too(asking: Asking) -> None:
    anna = asking("anna")
    assert "<strong>LEFT</strong> groin" in anna.get(address("told", "record/print")).text
    assert (
        "<strong>SIDE NOT STATED</strong> hip, exact site not stated" in anna.get(address("bare", "record/print")).text
    )


def test_answers_that_are_not_at_hand_are_said_to_be_so(home: Home, asking: Asking) -> None:
    kept = home.root / "answers-elsewhere"
    (home.root / "answers").rename(kept)
    try:
        anna = asking("anna")
        text = text_of(anna.get(address("told")).text)
        assert "The answers are not at hand." in text and "which is not at hand here" in text
        assert "yes, see the facts at the top" in text
        assert "so that nothing can be tried" in text_of(anna.get(address("told", "record/what-if")).text)
    finally:
        kept.rename(home.root / "answers")


def test_none_of_these_makes_its_boxes_absent() -> None:
    shown = answers_shown({"local__none_of_these": True, "local__lump": True}, {}, sensitive=True)
    (group,) = [group for group in shown.groups if group.present]
    assert any("lump" in phrase and "none of these" in phrase for phrase in group.present)
    assert any("swelling" in phrase for phrase in group.absent)
    assert not any("swelling;" in phrase for phrase in group.not_asked)


@given(st.sets(st.sampled_from([question.column for question in form()])), st.booleans())
def test_every_answer_is_shown_or_sensitive(columns: set[str], sees: bool) -> None:
    stated: dict[str, object] = {
        column: SAMPLE_ANSWERS[question.type] if question.type in SAMPLE_ANSWERS else question.choices[0]
        for column in columns
        if (question := questions()[column]).type not in ("text", "timestamp")
    }
    shown = answers_shown(stated, {}, sensitive=sees)
    hidden = set() if sees else set(stated) & set(sensitive_columns())
    told = {asked for group in shown.groups for asked, _ in group.stated}
    absent = " ".join(phrase for group in shown.groups for phrase in group.absent)
    for column, answer in stated.items():
        words = question_words(column)
        is_shown = words.rpartition(": ")[2] in absent if answer is False else words in told
        assert is_shown or column in hidden
    assert len(told) == sum(answer is not False for column, answer in stated.items() if column not in hidden)
    # what is hidden is not counted: where only ticked boxes are stored, a count of answers tells that some are yes
    assert shown.answered == len(stated.keys() - hidden)
    assert sees or shown == answers_shown({c: a for c, a in stated.items() if c not in hidden}, {}, sensitive=False)


def test_what_if_equals_a_record_that_had_the_answer(home: Home, tried: Mapping[str, tuple[str, str, str]]) -> None:
    changed = 0
    assert len(tried) > 8
    for record, (of, column, answer) in [*tried.items(), ("told-hip", ("told", "exam__log_roll", "1"))]:
        then, published, now = compared(home, of, column, answer).then, row_of(home, record), row_of(home, of)
        for name in ALIKE:
            assert then[name] == published[name], (of, column, name)
        assert then["priority_score"] == pytest.approx(published["priority_score"], abs=1e-6)
        assert [one["condition"] for one in then["differential"][:5]] == [
            one["condition"] for one in published["differential"][:5]
        ]
        changed += then["tier"] != now["tier"]
    assert changed


def compared(home: Home, record: str, column: str, answer: str) -> Compared:
    tables = answers_copy.as_records(home, "north", record, row_of(home, record)["intake_hash"])
    assert tables is not None
    return compare(home, *tables, column, answer)


@pytest.mark.parametrize(
    ("column", "answer", "said"),
    [
        ("night_pain", "1", "answered already"),
        ("no_such_column", "1", "the form asks no such question"),
        ("'; DROP TABLE referrals --", "1", "the form asks no such question"),
        ("clinic_id", "south", "the form asks no such question"),
        ("notes", "words", "the form asks no such question"),
        ("exam__hop", "1", "the form asks no such question"),
        ("weekly_km_change_pct", "5", "the form asks no such question"),
        ("systemic__chills", "", "choose an answer first"),
        ("systemic__chills", "yes", "neither 1, 0 nor blank"),
        ("onset", "nobody knows", "none of the answers that the form allows"),
        ("temperature_c", "1e2", "not a number in plain digits"),
        ("temperature_c", "120", "outside what the form can read"),
        ("pain_now", "5.5", "not a whole number"),
    ],
)
def test_what_cannot_be_tried_is_refused_plainly(home: Home, column: str, answer: str, said: str) -> None:
    with pytest.raises(WhatIfRefused, match=re.escape(said)):
        compared(home, "told", column, answer)


def test_an_odd_answer_counts_and_is_told_to_be_odd(home: Home) -> None:
    assert compared(home, "told", "systemic__chills", "1").odd == ()
    odd = compared(home, "bare", "heart_rate_bpm", "300")
    assert odd.odd == ("the number lies outside what is usual",) and odd.then["needs_review"]


def try_out(browser: TestClient, record: str, **fields: str) -> Any:
    page = browser.get(address(record, "record/what-if") + "&column=exam__slump").text
    return browser.post(address(record, "record/what-if"), data={"form_token": token_in(page), **fields})


def test_the_page_of_a_try_tells_both_sides_and_changes_no_file(home: Home, asking: Asking) -> None:
    anna = asking("anna")
    before = files(home)
    answer = try_out(anna, "told", column="neuro__bladder_bowel", answer="1")
    assert answer.status_code == 200
    text = text_of(answer.text)
    in_order(text, ["Nothing is saved here.", "The tier would go from", "EMERGENCY", "Now", "With this answer"])
    assert "Red flags that would fire" in text and "cauda equina" in text
    assert files(home) == before


def files(home: Home) -> dict[str, str]:
    """The hash of every file of the home, but of the access log."""
    every = sorted(file for file in home.root.rglob("*") if file.is_file() and file != home.access_log)
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in every}


@pytest.mark.parametrize(
    ("who", "fields", "status", "said"),
    [
        ("anna", {"column": "night_pain", "answer": "1"}, 400, "answered already"),
        ("anna", {"column": "local__swelling", "answer": "1"}, 400, "by none of these"),
        ("anna", {"column": "screen__testicular_pain", "answer": "1"}, 400, "does not put this question"),
        ("anna", {"column": "x", "answer": "<b>canary</b>"}, 400, "no such question"),
        ("anna", {}, 400, "no such question"),
    ],
)
def test_a_try_that_cannot_be_made(asking: Asking, who: str, fields: dict[str, str], status: int, said: str) -> None:
    answer = try_out(asking(who), "told", **fields)
    assert answer.status_code == status
    assert said in text_of(answer.text)
    assert "<b>canary" not in answer.text


def test_what_if_is_no_way_to_find_out_sensitive_answers(home: Home, asking: Asking) -> None:
    assert 'value="history__injecting_drugs"' in (page := asking("anna").get(address("told", "record/what-if")).text)
    assert 'value="exam__hop"' not in page
    for who in ("rita", "alan"):
        reader = asking(who)
        assert reader.get(address("told", "record/what-if")).status_code == 403
        token = token_in(reader.get(address("told")).text)
        fields = {"form_token": token, "column": "exam__slump", "answer": "1"}
        assert reader.post(address("told", "record/what-if"), data=fields).status_code == 403
    (home.root / "settings.toml").write_text('data_kind = "sample"\n')
    try:
        local = client(home)
        assert 'value="history__injecting_drugs"' not in local.get(address("told", "record/what-if")).text
        answer = try_out(local, "told", column="history__injecting_drugs", answer="1")
        assert answer.status_code == 403 and "clinicians of this clinic only" in text_of(answer.text)
    finally:
        (home.root / "settings.toml").write_text(SETTINGS)


def test_a_try_without_the_forms_token_is_refused(asking: Asking) -> None:
    answer = asking("anna").post(address("told", "record/what-if"), data={"column": "rest_pain", "answer": "1"})
    assert answer.status_code == 403


def test_a_damaged_copy_of_the_answers_is_not_half_shown(home: Home, asking: Asking) -> None:
    before = {file: file.read_bytes() for file in (home.root / "answers" / "north").iterdir()}
    try:
        for file in before:
            if file.suffix != ".json":
                file.chmod(0o600)
                file.write_bytes(b"no database")
        assert "The answers are not at hand." in text_of(asking("anna").get(address("told")).text)
    finally:
        for file, content in before.items():
            file.write_bytes(content)


def test_a_row_without_its_sensitive_parts() -> None:
    row = {
        "reasons": [{"column": "history__pregnant"}, {"column": "night_pain"}],
        "special": ["pregnancy", "imaged"],
        "rule_status": [
            {"id": "testicular_pain", "result": "no"},
            {"id": "testicular_pain", "result": "cannot_tell"},
            {"id": "cauda_equina", "result": "no"},
        ],
        "first_imaging": "decide with radiology (pregnancy stated or possible): MRI",
        "review_reason": f"answers to check: {problems()['sex_disagrees'].sentence}",
    }
    told = sensitive.disclosed(row, answers=False)
    assert [one["column"] for one in told["reasons"]] == ["night_pain"]
    assert told["special"] == ["imaged"]
    assert [one["result"] for one in told["rule_status"]] == ["cannot_tell", "no"]
    assert told["first_imaging"] == "decide with radiology: MRI"
    assert told["review_reason"] == "answers to check: two answers contradict each other"
    assert sensitive.disclosed(row, answers=True) == row


@given(st.lists(st.text("ab ", min_size=1, max_size=400), max_size=40), st.floats(0, 60))
def test_what_does_not_fit_on_the_sheet_is_counted(items: list[str], lines: float) -> None:
    sheet = referral_print.Sheet(lines)
    listed = sheet.listed(items, referral_print.lines_of)
    assert list(listed.items) == items[: len(listed.items)]
    assert len(listed.items) + listed.more == len(items)
    assert sheet.left >= -1  # the line that says how many are left out


@given(st.text(max_size=900), st.integers(1, 4))
def test_a_text_that_is_cut_says_so(text: str, at_most: int) -> None:
    shown = referral_print.Sheet().text(text, at_most=at_most)
    assert shown == text or shown.endswith(f"({referral_print.LEFT_OUT})")
    assert len(shown) <= at_most * referral_print.LETTERS


def test_bands_are_those_of_the_evaluation() -> None:
    assert tuple(reversed(AGE_BANDS)) == _AGE_BANDS


def test_conditions_stand_in_words() -> None:
    ranked = [{"condition": f"c{place}", "probability": p} for place, p in enumerate((0.5, 0.3, 0.06, 0.04, 0.1))]
    told = list(groups({"differential": ranked, "prediction_set": ["c9"]}))
    assert [(group.label, group.conditions) for group in told] == [
        ("most likely", ("c0",)),
        ("possible", ("c1", "c2", "c4")),
        ("cannot be excluded", ("c9",)),
    ]
    assert list(groups({"differential": [], "prediction_set": None})) == []
    assert [percent(p) for p in (0.0001, 0.25, 0.999)] == ["less than 1 %", "25 %", "more than 99 %"]


def test_the_locked_evaluation_has_the_figures_that_are_told() -> None:
    told = json.loads((PACKAGE.parent / "models" / "locked" / "evaluation.json").read_text())["subgroups"]
    assert set(told["age"]) <= {name for _, name in AGE_BANDS} | {"not stated"}
