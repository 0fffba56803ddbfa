"""The form as a FHIR R4 Questionnaire: one resource that holds what runner and clinician are asked.

Belongs here: items, codes and extensions of FHIR. Does not belong here: the order of questions
(``schemas.forms.layout``), reading a QuestionnaireResponse back (``schemas.mapping``).

Link ids: a column by its name; boxes of a group as one repeating choice under the group's name, coded by what stands
after ``__``; findings of the clinician as yes/no items by column name in a group ``<group>-clinician``. Both sheets are
one Questionnaire, because a response answers one Questionnaire and both sheets are one record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas.answers import KEY_PATTERNS, NOTES_CHARACTERS
from schemas.form import FREE_TEXT_COLUMN, NONE_OF_THESE, Question, form_digest
from schemas.forms.layout import Asked, Section, header, sheet, title
from schemas.forms.wording import AUDIENCES, Audience, stop_text, wording

# Names of ours, not addresses: the ending .invalid never resolves (RFC 2606).
BASE = "https://hiptriage.invalid/fhir"
_CORE = "http://hl7.org/fhir/StructureDefinition"
_ITEM_CONTROL = "http://hl7.org/fhir/questionnaire-item-control"
_UNITS = "http://unitsofmeasure.org"
Item = dict[str, Any]


def answer_system(name: str) -> str:
    """The code system of one question's answers; ``name`` is its link id."""
    return f"{BASE}/CodeSystem/{name.replace('_', '-')}"


def questionnaire(audiences: tuple[Audience, ...] = AUDIENCES, number: str | None = None) -> dict[str, Any]:
    """The Questionnaire as JSON values: the stop text first, the record's own columns, then the sheets in order.

    ``number``: the clinic's emergency number for the stop text; None for the general words.
    """
    version = form_digest()[:12]
    whose = " and ".join(audiences)
    return {
        "resourceType": "Questionnaire",
        "url": f"{BASE}/Questionnaire/hip-pain-{'-'.join(audiences)}",
        "version": version,
        "name": "HipPain" + "".join(audience.capitalize() for audience in audiences),
        "title": f"Hip pain: intake form for the {whose}",
        "status": "draft",
        "subjectType": ["Patient"],
        "publisher": "hiptriage",
        "description": f"{stop_text().nobody_reads} {stop_text().standing}",
        "item": [
            _stop(audiences[0], "opens", number),
            {
                "linkId": "record",
                "text": wording().sections["record"],
                "type": "group",
                "item": [_single(question) for question in header()],
            },
            *(_sheet(audience, number, first=audience == audiences[0]) for audience in audiences),
        ],
    }


def questionnaire_json(audiences: tuple[Audience, ...] = AUDIENCES, number: str | None = None) -> str:
    """The Questionnaire as JSON text."""
    return json.dumps(questionnaire(audiences, number), indent=1, ensure_ascii=False) + "\n"


def _sheet(audience: Audience, number: str | None, *, first: bool) -> Item:
    opens = [] if first else [_stop(audience, "opens", number)]
    lines = [
        _display(f"intro-{audience}-{place}", line) for place, line in enumerate(wording().intro[audience], start=1)
    ]
    sections = [_section(audience, section, number) for section in sheet(audience).sections]
    return {
        "linkId": f"{audience}-form",
        "text": wording().sheets[audience],
        "type": "group",
        "item": [*opens, *lines, *sections],
    }


def _section(audience: Audience, section: Section, number: str | None) -> Item:
    name = section.name.replace(" ", "-")
    items: list[Item] = []
    for asked in section.asked:
        items.extend(_asked(asked))
        if asked.stop_after:
            items.append(_stop(audience, f"after-{asked.name}", number))
    return {"linkId": f"{audience}-{name}", "text": section.title, "type": "group", "item": items}


def _display(link_id: str, text: str) -> Item:
    return {"linkId": link_id, "text": text, "type": "display"}


def _stop(audience: Audience, place: str, number: str | None) -> Item:
    return _display(f"stop-{audience}-{place}", stop_text().in_full(audience, number))


def _asked(asked: Asked) -> Iterator[Item]:
    if asked.kind == "single":
        yield _single(asked.question)
    elif asked.kind == "boxes":
        yield {
            "extension": [_control("check-box")],
            "linkId": asked.name,
            "text": asked.title,
            "type": "choice",
            "repeats": True,
            "answerOption": [_box(asked, question) for question in asked.questions],
        }
    else:
        yield {
            "linkId": f"{asked.name}-clinician",
            "text": asked.title,
            "type": "group",
            "item": [
                {"linkId": question.column, "text": asked.label(question), "type": "boolean"}
                for question in asked.questions
            ],
        }


def _box(asked: Asked, question: Question) -> Item:
    coding = {"system": answer_system(asked.name), "code": asked.code(question), "display": asked.label(question)}
    option: Item = {"valueCoding": coding}
    if asked.code(question) == NONE_OF_THESE:
        option["extension"] = [{"url": f"{_CORE}/questionnaire-optionExclusive", "valueBoolean": True}]
    return option


def _single(question: Question) -> Item:
    item: Item = {"linkId": question.column, "text": title(question)}
    match question.type:
        case "yesno":
            return item | {"type": "boolean"}
        case "choice":
            options = [
                {
                    "valueCoding": {
                        "system": answer_system(question.column),
                        "code": code,
                        "display": wording().answer(question, code),
                    }
                }
                for code in question.choices
            ]
            return {"extension": [_control("radio-button")]} | item | {"type": "choice", "answerOption": options}
        case "integer" | "number":
            kind = "integer" if question.type == "integer" else "decimal"
            return {"extension": [*_limits(question, kind), *_unit(question)]} | item | {"type": kind}
        case "timestamp":
            # The response itself says when it was written, anew after each change; this is for tools that do not.
            hint = "leave blank where the tool notes by itself when the answers were given"
            return item | {"text": f"{title(question)} ({hint})", "type": "dateTime"}
        case _ if question.column == FREE_TEXT_COLUMN:
            return item | {"type": "text", "maxLength": NOTES_CHARACTERS}
        case _:
            pattern = {"url": f"{_CORE}/regex", "valueString": KEY_PATTERNS[question.column].strip("^$")}
            # clinic_id may stay blank: files are loaded from the clinic's own folder.
            required = {"required": True} if question.column == "record_id" else {}
            return {"extension": [pattern]} | item | {"type": "string"} | required


def _control(code: str) -> Item:
    concept = {"coding": [{"system": _ITEM_CONTROL, "code": code}]}
    return {"url": f"{_CORE}/questionnaire-itemControl", "valueCodeableConcept": concept}


def _limits(question: Question, kind: str) -> list[Item]:
    if question.allowed_range is None:
        return []
    value = f"value{kind.capitalize()}"
    low, high = (int(bound) if bound.is_integer() else bound for bound in question.allowed_range)
    return [{"url": f"{_CORE}/minValue", value: low}, {"url": f"{_CORE}/maxValue", value: high}]


def _unit(question: Question) -> list[Item]:
    code = wording().units.get(question.unit)
    if code is None:
        return []
    coding = {"system": _UNITS, "code": code, "display": question.unit}
    return [{"url": f"{_CORE}/questionnaire-unit", "valueCoding": coding}]
