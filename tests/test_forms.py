"""The blank form in every kind: whole, in order, safe, valid, and read back as the record that was filled in."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fhir.resources.R4B.questionnaire import Questionnaire
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse
from playwright.sync_api import sync_playwright
from pydantic import ValidationError

from schemas.contract import split
from schemas.form import form, questions
from schemas.forms import wording as words
from schemas.forms.blank_csv import blank_csv
from schemas.forms.layout import Section, sheet
from schemas.forms.printable import printable
from schemas.forms.questionnaire import questionnaire, questionnaire_json
from schemas.forms.redcap_dictionary import (
    ANNOTATION,
    CHOICES,
    COLUMNS,
    FORM,
    HEADER,
    HIGH,
    LABEL,
    LOW,
    MATRIX,
    NAME,
    TYPE,
    VALIDATION,
    redcap_dictionary,
)
from schemas.forms.wording import AUDIENCES, StopText, Wording, emergency_number, stop_text, wording
from tests.filled_forms import answers_of, csv_export, dictionary_rows, redcap_export, response_of
from warehouse.formats.recognise import opened_source
from warehouse.reading_plan import plan_with

NEVER_ASKED = [q.column for q in form() if q.ask != "ask"]
RED_FLAG_GROUPS = ("systemic", "neuro", "local", "screen")
ASKED = {q.column for q in form() if q.ask == "ask"}


# Layout


def test_every_asked_column_stands_on_one_sheet_and_no_other_does() -> None:
    placed = Counter(column for audience in AUDIENCES for column in sheet(audience).columns)
    placed.update(question.column for question in sheet("runner").header)
    assert set(placed) == ASKED
    assert set(placed.values()) == {1}
    for audience in AUDIENCES:
        assert {questions()[column].asked_of for column in sheet(audience).columns} == {audience}


def test_safety_comes_first_then_core_then_optional() -> None:
    for audience in AUDIENCES:
        steps = [section.step for section in sheet(audience).sections]
        assert steps == sorted(steps)
    assert sheet("runner").sections[0].name == "safety"
    assert {q.step for asked in sheet("runner").sections[0].asked for q in asked.questions} == {1}


def safety() -> Section:
    return sheet("runner").sections[0]


def test_the_stop_text_follows_each_red_flag_group_and_the_lone_safety_questions() -> None:
    assert [asked.name for asked in safety().asked if asked.stop_after] == ["weight_bearing", *RED_FLAG_GROUPS]
    assert not any(asked.stop_after for section in sheet("runner").sections[1:] for asked in section.asked)


def test_a_group_is_one_question_and_none_of_these_its_last_box() -> None:
    groups = [asked for audience in AUDIENCES for s in sheet(audience).sections for asked in s.asked]
    for asked in groups:
        if asked.kind == "single":
            assert asked.question.box_group is None
            continue
        assert asked.kind == ("boxes" if asked.questions[0].asked_of == "runner" else "findings")
        nones = [place for place, q in enumerate(asked.questions) if q.column.endswith("none_of_these")]
        assert nones in ([], [len(asked.questions) - 1])
    systemic = next(asked for asked in groups if asked.name == "systemic")
    assert systemic.title == "In the last weeks"
    assert systemic.label(systemic.questions[0]) == "fever"


def test_movements_that_nobody_is_asked_to_try_stand_apart_on_the_clinicians_sheet() -> None:
    assert sheet("runner").record_only is None
    apart = sheet("clinician").record_only
    assert apart
    assert {q.column for q in apart.questions} == {q.column for q in form() if q.ask == "record_only"}


# Words


def test_the_stop_text_says_the_four_signs_and_takes_the_clinics_number() -> None:
    for audience in AUDIENCES:
        text = stop_text().in_full(audience, None)
        for sign in ("fever", "no weight", "numbness between the legs", "passing urine", "emergency department"):
            assert sign in text
        assert "your local emergency number" in text
        assert "call 112 now" in stop_text().in_full(audience, "112")
    assert stop_text().standing == "Stop text not yet signed by a clinician."


def test_words_that_do_not_go_with_the_form_are_refused() -> None:
    good = wording().model_dump()
    for change in (
        {"titles": good["titles"] | {"colour": "Colour"}},
        {"answers": {"side": {"up": "up"}}},
        {"units": {"furlongs": "x"}},
        {"sections": good["sections"] | {"weather": "Weather"}},
        {"extra": 1},
    ):
        with pytest.raises(ValidationError):
            Wording.model_validate(good | change)
    with pytest.raises(ValidationError, match="no place for the emergency number"):
        StopText.model_validate(stop_text().model_dump() | {"runner": "go now"})
    signed = StopText.model_validate(stop_text().model_dump() | {"signed_by": "A B", "signed_on": "2026-01-02"})
    assert signed.standing == "Stop text signed by A B on 2026-01-02."


def test_every_number_with_a_unit_has_a_machine_readable_one() -> None:
    ratings = {"0-10", ""}
    assert {q.unit for q in form() if q.unit not in ratings} == set(wording().units)


@pytest.mark.parametrize("number", ["112", "+49 (0)30 123-45", "999"])
def test_a_telephone_number_is_taken(number: str) -> None:
    assert emergency_number(f" {number} ") == number


@pytest.mark.parametrize("number", ["", "call me", "<b>1</b>", "1" * 40, "1\n2"])
def test_other_text_is_no_telephone_number(number: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        emergency_number(number)


# CSV


def test_the_blank_csv_is_the_asked_columns_in_the_order_of_the_form() -> None:
    columns = blank_csv().strip().split(",")
    assert columns == [q.column for q in form() if q.ask == "ask"]
    runner = blank_csv(("runner",)).strip().split(",")
    assert {questions()[column].asked_of for column in runner} == {"runner", "system"}


# REDCap: what its own upload checks (MetaData::error_checking), as far as it concerns such a dictionary

RESERVED = {
    *("redcap_event_name", "redcap_csrf_token", "redcap_survey_timestamp", "redcap_survey_identifier"),
    *("redcap_survey_return_code", "redcap_data_access_group", "redcap_repeat_instance", "redcap_repeat_instrument"),
    *("hidden_edit_flag", "instance", "submit", "new", "return", "continue", "case", "switch", "class", "enum"),
    *("catch", "throw", "document", "super", "focus", "elements", "action", "event_id", "target"),
}


@pytest.fixture(scope="module")
def fields() -> list[dict[str, str]]:
    return dictionary_rows()


def test_the_dictionary_has_redcaps_columns_and_the_record_identifier_first(fields: list[dict[str, str]]) -> None:
    assert tuple(fields[0]) == COLUMNS
    assert (fields[0][NAME], fields[0][TYPE], fields[0][HEADER]) == ("record_id", "text", "")
    assert [name for name, _ in groupby(row[FORM] for row in fields)] == ["runner_form", "clinician_form"]


def test_field_names_are_ones_that_redcap_takes(fields: list[dict[str, str]]) -> None:
    names = [row[NAME] for row in fields]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch("[a-z][a-z0-9_]*[a-z0-9]", name) and "__" not in name and len(name) <= 100
        assert name not in RESERVED
        assert not re.search("^(runner|clinician)_form_(complete|timestamp|return_code)$", name)


def test_fields_have_what_their_type_asks_for(fields: list[dict[str, str]]) -> None:
    for row in fields:
        assert row[TYPE] in {"text", "notes", "radio", "checkbox", "yesno", "descriptive"}
        assert row[LABEL]
        if row[TYPE] in ("radio", "checkbox"):
            options = [option.split(",", 1) for option in row[CHOICES].split(" | ")]
            codes = [option[0] for option in options]
            assert all(re.fullmatch("[A-Za-z0-9._-]+", code) for code in codes) and all(len(o) == 2 for o in options)
            assert len(set(codes)) == len(codes)
        else:
            assert not row[CHOICES]
        if row[VALIDATION]:
            assert row[TYPE] == "text" and row[VALIDATION] in {"integer", "number", "datetime_seconds_ymd"}
        if row[LOW] or row[HIGH]:
            assert row[VALIDATION] in {"integer", "number"} and float(row[LOW]) < float(row[HIGH])


def test_matrices_stand_together_and_share_their_choices(fields: list[dict[str, str]]) -> None:
    runs = [(name, list(rows)) for name, rows in groupby(fields, key=lambda row: row[MATRIX]) if name]
    assert len({name for name, _ in runs}) == len(runs)
    for name, rows in runs:
        assert re.fullmatch("[a-z][a-z0-9_]{0,58}[a-z0-9]", name)
        assert {(row[TYPE], row[CHOICES]) for row in rows} == {("radio", "1, Present | 0, Absent")}
        assert rows[0][HEADER]


def test_the_dictionary_asks_all_that_is_asked_and_nothing_else(fields: list[dict[str, str]]) -> None:
    exported = set(redcap_export([]).decode().strip().split(","))
    boxes = {q.column for q in form() if q.box_group and q.asked_of == "runner" and q.ask == "ask"}
    expected = {column.replace("__", "___") for column in boxes} | {c.replace("__", "_") for c in ASKED - boxes}
    helpers = {"submitted_at_utc", "clinician_at_utc", "runner_form_complete", "clinician_form_complete"}
    assert exported == expected | helpers
    text = redcap_dictionary()
    assert not [column for column in NEVER_ASKED if column.replace("__", "_") in text]


def test_limits_and_choices_are_those_of_the_form(fields: list[dict[str, str]]) -> None:
    by_name = {row[NAME]: row for row in fields}
    for question in form():
        row = by_name.get(question.column.replace("__", "_"))
        if row is None or question.ask != "ask":
            continue
        if question.allowed_range:
            assert (float(row[LOW]), float(row[HIGH])) == question.allowed_range
        if question.type == "choice":
            assert tuple(option.split(",")[0] for option in row[CHOICES].split(" | ")) == question.choices


def test_each_instrument_opens_with_the_stop_text_and_red_flag_groups_end_with_it(fields: list[dict[str, str]]) -> None:
    names = [row[NAME] for row in fields]
    assert names[1] == "stop_runner_opens"
    clinician = [row for row in fields if row[FORM] == "clinician_form"]
    assert clinician[0][NAME] == "stop_clinician_opens"
    for group in RED_FLAG_GROUPS:
        after = fields[names.index(group) + 1]
        assert (after[TYPE], after[LABEL]) == ("descriptive", stop_text().in_full("runner", None))
    assert "call 112 now" in redcap_dictionary(number="112")


def calculated(formula: str, **times: str) -> str:
    """What REDCap would work out, with its functions written in Python (REDCap's datediff: second minus first)."""

    def datediff(first: str, second: str, *_: object) -> object:
        if not first or not second:
            return float("nan")  # REDCap gives nothing; a comparison with it is false
        return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()

    python = re.sub(r"\[(\w+)\]", r"at['\1']", formula).replace("if(", "IF(").replace("<>", "!=")
    python = re.sub(r"(?<![!<>=])=(?!=)", "==", python).replace("true", "True")
    functions: dict[str, Any] = {
        "IF": lambda test, yes, no: yes if test else no,
        "left": lambda text, n: text[:n],
        "right": lambda text, n: text[-n:],
        "concat": lambda *parts: "".join(parts),
        "datediff": datediff,
    }
    return str(eval(python, functions, {"at": times}))


@pytest.mark.parametrize(
    ("runner", "clinician", "expected"),
    [
        ("2026-03-01 09:30:05", "", "2026-03-01T09:30:05Z"),
        ("2026-03-01 09:30:05", "2026-03-02 00:00:00", "2026-03-02T00:00:00Z"),
        ("2026-03-03 09:30:05", "2026-03-02 00:00:00", "2026-03-03T09:30:05Z"),
        ("", "2026-03-02 00:00:00", "2026-03-02T00:00:00Z"),
        ("", "", ""),
    ],
)
def test_the_time_of_submission_is_the_later_of_the_two_sheets(
    fields: list[dict[str, str]], runner: str, clinician: str, expected: str
) -> None:
    (annotation,) = (row[ANNOTATION] for row in fields if row[NAME] == "submitted_at")
    formula = re.fullmatch(r"@CALCTEXT\((.*)\) @HIDDEN-SURVEY", annotation)
    assert formula
    assert calculated(formula[1], submitted_at_utc=runner, clinician_at_utc=clinician) == expected


def test_one_instrument_alone_is_whole() -> None:
    rows = dictionary_rows(redcap_dictionary(("clinician",)))
    assert rows[0][NAME] == "record_id" and {row[FORM] for row in rows} == {"clinician_form"}
    formula = next(row[ANNOTATION] for row in rows if row[NAME] == "submitted_at")
    assert "submitted_at_utc" not in formula and "clinician_at_utc" in formula
    assert {row[NAME] for row in rows} >= {"clinic_id", "exam_fadir", "clinician_at_utc"}


# FHIR


def items(of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for item in of for found in (item, *items(item.get("item", [])))]


@pytest.mark.parametrize("audiences", [AUDIENCES, ("runner",), ("clinician",)])
def test_the_questionnaire_is_valid_fhir(audiences: tuple[words.Audience, ...]) -> None:
    text = questionnaire_json(audiences)
    parsed = Questionnaire.model_validate_json(text)
    assert parsed.status == "draft"
    assert re.fullmatch("[A-Z][A-Za-z0-9_]{0,254}", str(parsed.name))
    assert json.loads(parsed.model_dump_json()) == json.loads(text)  # nothing that FHIR does not know
    found = items(json.loads(text)["item"])
    assert len({item["linkId"] for item in found}) == len(found)
    for item in found:
        # Constraints of the resource that the parser does not check (que-1, que-4, que-6, que-8, que-9, que-10).
        assert ("item" in item) == (item["type"] == "group")
        assert ("answerOption" in item) == (item["type"] == "choice")
        assert item["type"] != "display" or not {"required", "repeats", "maxLength"} & set(item)
        assert "maxLength" not in item or item["type"] in {"string", "text"}


def test_the_questionnaire_opens_with_the_stop_text_and_red_flag_groups_end_with_it() -> None:
    resource = questionnaire(number="112")
    assert resource["item"][0]["type"] == "display"
    assert resource["item"][0]["text"] == stop_text().in_full("runner", "112")
    ordered = items(resource["item"])
    names = [item["linkId"] for item in ordered]
    for group in RED_FLAG_GROUPS:
        assert ordered[names.index(group) + 1]["text"] == stop_text().in_full("runner", "112")
    after = ordered[names.index("clinician-form") + 1]
    assert after["text"] == stop_text().in_full("clinician", "112")


def test_the_questionnaire_asks_all_that_is_asked_and_nothing_else() -> None:
    found = {item["linkId"]: item for item in items(questionnaire()["item"])}
    said = {name for name, item in found.items() if item["type"] not in ("group", "display", "choice")}
    said |= {name for name, item in found.items() if item["type"] == "choice" and not item.get("repeats")}
    boxes = {
        f"{name}__{option['valueCoding']['code']}"
        for name, item in found.items()
        if item.get("repeats")
        for option in item["answerOption"]
    }
    assert said | boxes == ASKED
    assert boxes == {q.column for q in form() if q.box_group and q.asked_of == "runner" and q.ask == "ask"}
    for name in said:
        question = questions()[name]
        if question.allowed_range:
            bounds = {e["url"].rpartition("/")[2]: e for e in found[name]["extension"]}
            kind = "valueInteger" if question.type == "integer" else "valueDecimal"
            assert (bounds["minValue"][kind], bounds["maxValue"][kind]) == question.allowed_range
        if question.type == "choice":
            codes = [option["valueCoding"]["code"] for option in found[name]["answerOption"]]
            assert tuple(codes) == question.choices


# Printed pages

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, and whether each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.mark.parametrize("audiences", [AUDIENCES, ("runner",), ("clinician",)])
def test_the_page_needs_nothing_else_and_every_answer_has_its_box(audiences: tuple[words.Audience, ...]) -> None:
    text = printable(audiences)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "form", "object"}
    assert not re.search(r"https?:|url\(|@import|src=", text)
    assert dict(page.tags)["html"] == {"lang": "en"}
    for audience in audiences:
        plan = sheet(audience)
        wanted = {
            question.column: {"1"} if asked.kind == "boxes" else set(question.choices)
            for section in plan.sections
            for asked in section.asked
            for question in asked.questions
        }
        for column, answers in wanted.items():
            inputs = [
                attributes
                for _, attributes in page.tags
                if column in (attributes.get("name"), (attributes.get("id") or "").removeprefix(f"{audience}-"))
                or attributes.get("name") == f"{audience}-{column}"
            ]
            assert {a.get("value") for a in inputs} == (answers or {None}), column
    apart = {q.column for q in form() if q.ask == "record_only"}
    names = {attributes.get("name") for _, attributes in page.tags}
    assert apart <= names if "clinician" in audiences else not apart & names
    assert "weekly_km_change_pct" not in text and "pain_behaviour" not in text


def test_every_field_of_the_page_has_a_label() -> None:
    page = Page(printable())
    identifiers = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(set(identifiers)) == len(identifiers)
    labelled = {attributes.get("for") for tag, attributes in page.tags if tag == "label"}
    lines = {a["id"] for tag, a in page.tags if tag == "textarea" or (tag == "input" and a["type"] == "text")}
    assert lines and lines == labelled - {None}
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(identifiers)


def test_the_stop_text_comes_before_anything_else_on_each_sheet_and_after_each_red_flag_group() -> None:
    for audience in AUDIENCES:
        text = " ".join(" ".join(Page(printable((audience,), "<112>")).words).split())
        body = text[text.index(stop_text().heading) :]
        assert body.startswith(f"{stop_text().heading} {stop_text().nobody_reads}")
        assert body.index("call <112> now") < body.index(sheet(audience).title)  # escaped, so that it reads back
        assert stop_text().standing in text
    runner = " ".join(" ".join(Page(printable(("runner",))).words).split())
    assert runner.count(stop_text().in_full("runner", None)) == 1 + len(RED_FLAG_GROUPS)
    ends = [runner.index(title) for title in ("Since this began", "At the painful place", "Do you also have")]
    stops = [m.start() for m in re.finditer(re.escape(stop_text().in_full("runner", None)), runner)]
    assert all(any(end - 400 < stop < end for stop in stops) for end in ends)


@pytest.mark.slow
def test_the_sheets_print_on_a_few_pages_of_a4(tmp_path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for audience, most in (("runner", 6), ("clinician", 4)):
            page = browser.new_page(java_script_enabled=False)
            asked_for: list[str] = []
            page.on("request", lambda request, seen=asked_for: seen.append(request.url))
            page.set_content(printable((audience,)))
            pdf = page.pdf(prefer_css_page_size=True)
            assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= most
            assert b"/MediaBox [0 0 594" in pdf or b"/MediaBox [0 0 595" in pdf
            assert asked_for == []
        browser.close()


# There and back


CLINIC = "north"
NEARLY_EMPTY = {"record_id": "1", "submitted_at": "2026-03-01T09:30:00Z"}
RECORDS = [*(answers_of(seed) for seed in range(40)), NEARLY_EMPTY]
EXPORTS = {
    "csv": csv_export,
    "redcap": redcap_export,
    "fhir bundle": lambda records: json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": response_of(r)} for r in records]}
    ).encode(),
    "fhir lines": lambda records: "\n".join(json.dumps(response_of(r)) for r in records).encode(),
}


def read_back(content: bytes, folder: Path) -> pl.DataFrame:
    """The file as ``hiptriage run --clinic north`` reads it, up to the contract: the accepted records."""
    file = folder / "export"
    file.write_bytes(content)
    with opened_source(file) as source:
        plan = plan_with(source, (), clinic_known=True)
        (block,) = source.blocks(plan.wanted)
    assert not block.broken.height
    mapped = plan.to_form(block.cells)
    assert not mapped.set_aside.len()
    return accepted(mapped.cells, mapped.problems)


def accepted(cells: pl.DataFrame, problems: pl.DataFrame | None = None) -> pl.DataFrame:
    parts = split(cells, clinic=CLINIC, received_at=datetime.now(UTC), problems=problems)
    assert not parts.rejections.height, parts.rejections.select("column", "code")
    return parts.accepted


@pytest.fixture(scope="module")
def filled_in() -> pl.DataFrame:
    """The records as the contract reads them from the canonical columns."""
    return accepted(pl.DataFrame(RECORDS, schema={q.column: pl.String for q in form()}))


def test_the_generated_records_say_what_matters() -> None:
    assert {column for record in RECORDS for column in record} == ASKED
    for column, answer in (("systemic__none_of_these", "1"), ("systemic__fever", "1"), ("systemic__fever", "0")):
        assert any(record.get(column) == answer for record in RECORDS)
    assert {"clinic_id" in record for record in RECORDS} == {True, False}


@pytest.mark.parametrize("kind", EXPORTS)
def test_a_record_filled_in_comes_back_as_the_same_record(kind: str, filled_in: pl.DataFrame, tmp_path: Path) -> None:
    back = read_back(EXPORTS[kind](RECORDS), tmp_path)
    assert back["canonical"].to_list() == filled_in["canonical"].to_list()
    assert back["has_notes"].to_list() == ["notes" in record for record in RECORDS]


def test_what_the_tool_made_of_a_response_is_valid_fhir() -> None:
    for record in RECORDS[:5]:
        QuestionnaireResponse.model_validate_json(json.dumps(response_of(record)))
