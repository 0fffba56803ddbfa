"""Records filled into each kind of form, and written out as the tool that shows the form would export them.

The exports are made from the forms themselves (the dictionary's rows, the Questionnaire's items), not from the
project's knowledge of their names, so that a form and its reading cannot be wrong together.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from schemas.form import NONE_OF_THESE, Question, form
from schemas.forms.blank_csv import blank_csv
from schemas.forms.questionnaire import questionnaire
from schemas.forms.redcap_dictionary import CHOICES, FORM, NAME, TYPE, redcap_dictionary

Answers = dict[str, str]  # form column to the text of the canonical file; blank columns are left out
NOTES = 'groin, "sharp"; since May\nworse | better, 3 > 2; schön'


def answers_of(seed: int) -> Answers:
    """What one person could say on any of the forms: an unticked box is blank unless its group's none is ticked."""
    rng = np.random.default_rng(seed)
    groups = {q.box_group for q in form() if q.box_group and q.asked_of == "runner"}
    with_none = {q.box_group for q in form() if q.column.endswith(f"__{NONE_OF_THESE}")}
    none = {group for group in with_none if rng.random() < 0.4}
    said: Answers = {
        "record_id": f"r.{seed}",
        "submitted_at": f"2026-03-{1 + seed % 28:02d}T09:30:{seed % 60:02d}Z",
    }
    if seed % 4:  # every fourth record leaves it to whoever loads the file
        said["clinic_id"] = "north"
    for question in form():
        if question.ask != "ask" or question.column in (*said, "clinic_id") or rng.random() < 0.3:
            continue
        if question.box_group in groups and question.asked_of == "runner":
            is_none = question.column.endswith(f"__{NONE_OF_THESE}")
            if question.box_group not in none and not is_none:
                said[question.column] = "1"
        else:
            said[question.column] = _answer(question, rng)
    for question in form():
        if question.box_group in none and question.asked_of == "runner":
            said[question.column] = "1" if question.column.endswith(f"__{NONE_OF_THESE}") else "0"
    return said


def _answer(question: Question, rng: np.random.Generator) -> str:
    if question.choices:
        return str(rng.choice(question.choices))
    if question.allowed_range:
        low, high = question.allowed_range
        number = rng.choice([low, high, rng.integers(low, high), round(float(rng.uniform(low, high)), 1)])
        return str(int(number)) if question.type == "integer" or float(number).is_integer() else str(float(number))
    return NOTES if question.column == "notes" else f"P-{rng.integers(1, 99)}"


def csv_export(records: list[Answers]) -> bytes:
    """The blank CSV with a row for each record."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, blank_csv().strip().split(","), restval="")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def dictionary_rows(text: str | None = None) -> list[dict[str, str]]:
    """The data dictionary, parsed."""
    return list(csv.DictReader(io.StringIO(text or redcap_dictionary())))


def redcap_export(records: list[Answers]) -> bytes:
    """The raw CSV that REDCap exports from a project made with the dictionary, every instrument marked complete."""
    fields = dictionary_rows()
    columns: list[str] = []
    for place, row in enumerate(fields):
        if row[TYPE] == "checkbox":
            columns += [f"{row[NAME]}___{option.split(',')[0].strip()}" for option in row[CHOICES].split("|")]
        elif row[TYPE] != "descriptive":
            columns.append(row[NAME])
        if place + 1 == len(fields) or fields[place + 1][FORM] != row[FORM]:
            columns.append(f"{row[FORM]}_complete")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for record in records:
        exported = {column.replace("__", "_"): answer for column, answer in record.items()}
        exported |= {"submitted_at_utc": record["submitted_at"].replace("T", " ").rstrip("Z")}
        writer.writerow(_redcap_cell(column, record, exported) for column in columns)
    return text.getvalue().encode()


def _redcap_cell(column: str, record: Answers, exported: Answers) -> str:
    if "___" in column:  # REDCap knows ticked and not ticked only
        return "1" if record.get(column.replace("___", "__")) == "1" else "0"
    return "2" if column.endswith("_complete") else exported.get(column, "")


def response_of(record: Answers) -> dict[str, Any]:
    """A QuestionnaireResponse that a tool would make of the Questionnaire, one item for each that was answered."""
    form_resource = questionnaire()
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form_resource["url"],
        "status": "completed",
        "item": _response_items(form_resource["item"], record),
    }


def _response_items(items: list[dict[str, Any]], record: Answers) -> list[dict[str, Any]]:
    found = []
    for item in items:
        answered: dict[str, Any] = {"linkId": item["linkId"], "text": item["text"]}
        if item["type"] == "group":
            if inner := _response_items(item["item"], record):
                found.append(answered | {"item": inner})
        elif answers := _response_answers(item, record):
            found.append(answered | {"answer": answers})
    return found


def _response_answers(item: dict[str, Any], record: Answers) -> list[dict[str, Any]]:
    name = item["linkId"]
    if item.get("repeats"):
        codings = [option["valueCoding"] for option in item["answerOption"]]
        return [{"valueCoding": coding} for coding in codings if record.get(f"{name}__{coding['code']}") == "1"]
    if name not in record or item["type"] == "display":
        return []
    answer = record[name]
    match item["type"]:
        case "boolean":
            return [{"valueBoolean": {"1": True, "0": False}[answer]}]
        case "choice":
            (coding,) = (o["valueCoding"] for o in item["answerOption"] if o["valueCoding"]["code"] == answer)
            return [{"valueCoding": coding}]
        case "integer":
            return [{"valueInteger": int(answer)}]
        case "decimal":
            return [{"valueDecimal": float(answer) if "." in answer else int(answer)}]
        case "dateTime":
            return [{"valueDateTime": answer}]
        case _:
            return [{"valueString": answer}]
