"""FHIR QuestionnaireResponses: each answer under its linkId, wherever it is nested; nothing that is no answer."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.problems import problems
from tests.source_records import read, refusal
from warehouse.formats.block import SEVERAL
from warehouse.formats.questionnaire_response import ABOUT, WITHOUT_LINK_ID, open_fhir


def response(*items: object, **about: object) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "status": "completed", **about, "item": list(items)}


def item(link_id: str, *answers: object, **more: object) -> dict[str, Any]:
    return {"linkId": link_id, "answer": list(answers), **more}


def cells(content: object) -> list[dict[str, str]]:
    """The answers of each record, without what stands about the response."""
    found = read(open_fhir, json.dumps(content).encode())
    assert found.columns[: len(ABOUT)] == ABOUT
    return [{name: cell for name, cell in record.items() if name not in ABOUT} for record in found.records]


ANSWERS: dict[str, tuple[str, str | None]] = {
    "boolean": ('{"valueBoolean": true}', "true"),
    "boolean false": ('{"valueBoolean": false}', "false"),
    "integer": ('{"valueInteger": 0}', "0"),
    "decimal": ('{"valueDecimal": 37.0400000000000000001}', "37.0400000000000000001"),
    "whole decimal": ('{"valueDecimal": 41.0}', "41"),
    "string": ('{"valueString": "left"}', "left"),
    "text": ('{"valueText": "a\\nb"}', "a\nb"),
    "address": ('{"valueUri": "urn:a"}', "urn:a"),
    "date": ('{"valueDate": "2026-01"}', "2026-01"),
    "time": ('{"valueTime": "09:30:00"}', "09:30:00"),
    "date and time": ('{"valueDateTime": "2026-01-31T09:30:00+01:00"}', "2026-01-31T09:30:00+01:00"),
    "code": ('{"valueCoding": {"system": "s", "code": "left", "display": "Left side"}}', "left"),
    "code without code": ('{"valueCoding": {"display": "Left side"}}', "Left side"),
    "code with neither": ('{"valueCoding": {"system": "s"}}', '{"system": "s"}'),
    "quantity": ('{"valueQuantity": {"value": 5.50, "unit": "km", "code": "km"}}', "5.5 km"),
    "quantity in a code": ('{"valueQuantity": {"value": 5, "code": "km"}}', "5 km"),
    "quantity without unit": ('{"valueQuantity": {"value": 5}}', "5"),
    "quantity with comparator": ('{"valueQuantity": {"value": 5, "comparator": "<", "unit": "mg/L"}}', "<5 mg/L"),
    "quantity without value": ('{"valueQuantity": {"unit": "km"}}', None),
    "reference": ('{"valueReference": {"reference": "Patient/7"}}', "Patient/7"),
    "attachment": ('{"valueAttachment": {"title": "scan", "data": "AAAA"}}', "scan"),
    "no value": ("{}", None),
    "a null": ('{"valueString": null}', None),
    "only extensions": ('{"extension": [{"url": "data-absent-reason", "valueCode": "unknown"}]}', None),
    "an extension of the value": ('{"_valueBoolean": {"extension": [{"url": "x", "valueCode": "unknown"}]}}', None),
    "a code with extensions only": ('{"valueCoding": {"extension": [{"url": "x", "valueCode": "asked"}]}}', None),
    "another type than it says": ('{"valueBoolean": "perhaps"}', "perhaps"),
    "an object of an unknown kind": ('{"valueRange": {"low": 1.0}}', '{"low": 1}'),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_given_as_its_text(kind: str) -> None:
    answer, expected = ANSWERS[kind]
    content = json.dumps(response(item("q", "ANSWER"))).replace('"ANSWER"', answer)
    found = read(open_fhir, content.encode())
    assert found.records[0].get("q") == expected


def test_answers_are_found_in_groups_in_answers_and_in_repeated_groups() -> None:
    first, second = {"valueString": "a"}, {"valueString": "b"}
    nested = {"linkId": "group", "item": [item("inner", first), {"linkId": "deep", "item": [item("leaf", second)]}]}
    under = item(
        "outer", {"valueCoding": {"code": "x"}, "item": [item("inner", second)]}, {"valueCoding": {"code": "y"}}
    )
    assert cells(response(nested, under, nested, item("last", first))) == [
        {
            "inner": SEVERAL.join("aba"),
            "leaf": SEVERAL.join("bb"),
            "outer": SEVERAL.join("xy"),
            "last": "a",
        }
    ]


def test_columns_stand_in_order_of_first_sight_over_all_records() -> None:
    one = response(item("b", {"valueInteger": 1}))
    two = response(item("a", {"valueInteger": 2}), item("b", {"valueInteger": 3}))
    assert read(open_fhir, json.dumps([one, two]).encode()).columns == (*ABOUT, "b", "a")


def test_what_stands_about_the_response() -> None:
    about = {
        "id": "x1",
        "authored": "2026-01-31T09:30:00+01:00",
        "identifier": {"system": "s", "value": "r1"},
        "subject": {"reference": "https://example.org/fhir/Patient/p7/_history/2"},
        "questionnaire": "https://example.org/form|1",
    }
    found = read(open_fhir, json.dumps(response(**about)).encode()).records
    values = ("x1", "completed", "2026-01-31T09:30:00+01:00", "r1", "p7", "https://example.org/form|1")
    assert found == [dict(zip(ABOUT, values, strict=True))]
    named = response(subject={"identifier": {"value": "p8"}})
    assert read(open_fhir, json.dumps(named).encode()).records[0]["QuestionnaireResponse.subject"] == "p8"


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ({"reference": "urn:uuid:0c3f-11"}, "0c3f-11"),
        ({"reference": "urn:oid:1.2.3"}, "1.2.3"),
        ({"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:0c3f-11"}}, "0c3f-11"),
        ({"reference": "Patient/7"}, "7"),
    ],
)
def test_a_urn_is_given_without_its_scheme(subject: object, key: str) -> None:
    found = read(open_fhir, json.dumps(response(subject=subject)).encode()).records
    assert found[0]["QuestionnaireResponse.subject"] == key


def test_an_item_without_link_id_keeps_its_answers() -> None:
    assert cells(response({"answer": [{"valueInteger": 1}]})) == [{WITHOUT_LINK_ID: "1"}]


TWO = [response(item("a", {"valueInteger": number}), id=str(number)) for number in (1, 2)]
PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "x"}], "link": [{"other": {}}]}
BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "link": [{"relation": "self", "url": "u"}],
    "entry": [{"fullUrl": "u", "resource": PATIENT}, *({"resource": one} for one in TWO), {"fullUrl": "none"}],
}
SHAPES = {
    "array": json.dumps([*TWO, PATIENT]),
    "lines": "\n".join(map(json.dumps, [PATIENT, *TWO])),
    "bundle": json.dumps(BUNDLE),
    "bundle over lines": json.dumps(BUNDLE, indent=2),
    "bundle whose type stands last": json.dumps(dict(reversed(BUNDLE.items()))),
    "bundles in lines": "\n".join(json.dumps({"resourceType": "Bundle", "entry": [{"resource": one}]}) for one in TWO),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_responses_are_found_in_every_shape_and_other_resources_are_no_records(shape: str) -> None:
    found = read(open_fhir, SHAPES[shape].encode())
    assert [(one["QuestionnaireResponse.id"], one["a"]) for one in found.records] == [("1", "1"), ("2", "2")]
    assert found.broken == {}


def test_a_single_response_over_many_lines_is_one_record() -> None:
    assert cells(json.loads(json.dumps(TWO[0]))) == [{"a": "1"}]
    assert len(read(open_fhir, json.dumps(TWO[0], indent=1).encode()).records) == 1


def deep(levels: int) -> dict[str, Any]:
    inner = item("leaf", {"valueInteger": 1})
    for _ in range(levels):
        inner = item("outer", {"valueInteger": 2, "item": [inner]})
    return response(inner)


BROKEN = {
    "withdrawn by its sender": (json.dumps(response(status="entered-in-error")), "entered_in_error"),
    "cut short": ('{"resourceType": "QuestionnaireResponse", "item', "bad_json"),
    "no resource": ('{"a": 1}', "bad_json"),
    "items that are no list": (json.dumps(response() | {"item": {"linkId": "a"}}), "bad_json"),
    "items that are no objects": (json.dumps(response("a")), "bad_json"),
    "answers that are no list": (json.dumps(response({"linkId": "a", "answer": {"valueInteger": 1}})), "bad_json"),
    "two values in an answer": (json.dumps(response(item("a", {"valueInteger": 1, "valueString": "2"}))), "bad_json"),
    "a linkId that poses as another column": (json.dumps(response(item(ABOUT[0], {"valueInteger": 1}))), "bad_json"),
    "a name twice": ('{"resourceType": "QuestionnaireResponse", "id": "1", "id": "2"}', "repeated_key"),
    "our sign in an answer": (json.dumps(response(item("a", {"valueString": f"x{SEVERAL}y"}))), "bad_json"),
    "half a surrogate pair": (json.dumps(response(item("a", {"valueString": "\ud800"}))), "bad_bytes"),
    "nested too deep": (json.dumps(deep(40)), "bad_json"),
    "nested far too deep": (json.dumps(deep(200)), "bad_json"),
    "nested beyond any parser": ('{"resourceType": "QuestionnaireResponse", "item": ' + "[" * 100_000, "bad_json"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_line_is_one_broken_record(kind: str, place: int) -> None:
    line, code = BROKEN[kind]
    lines = [json.dumps(one) for one in TWO]
    lines.insert(place, line)
    found = read(open_fhir, "\n".join(lines).encode())
    assert found.broken == {place + 1: code}
    assert [one["a"] for one in found.records] == ["1", "2"]


def test_nesting_within_the_limit_is_read() -> None:
    assert cells(deep(30)) == [{"outer": SEVERAL.join("2" * 30), "leaf": "1"}]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (json.dumps(BUNDLE).encode()[:-3], "broken_file"),
        (json.dumps(BUNDLE, indent=2).encode()[:-30], "broken_file"),
        (json.dumps(TWO[0], indent=2).encode()[:-5], "broken_file"),
        (b'[{"resourceType": "QuestionnaireResponse"', "broken_file"),
        (json.dumps(response(status="entered-in-error")).encode(), "entered_in_error"),
        (json.dumps(response(*(item(f"q{n}", {"valueInteger": 1}) for n in range(5000)))).encode(), "too_many_columns"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_a_code(content: bytes, code: str) -> None:
    assert refusal(open_fhir, content) == code


def test_a_bundle_without_responses_has_no_records() -> None:
    assert read(open_fhir, json.dumps({"resourceType": "Bundle", "type": "searchset"}).encode()).texts == []
    assert read(open_fhir, json.dumps(PATIENT).encode()).texts == []


values = (
    st.booleans().map(lambda value: ({"valueBoolean": value}, str(value).lower()))
    | st.integers(-(2**31), 2**31 - 1).map(lambda value: ({"valueInteger": value}, str(value)))
    | st.from_regex(r"[a-zé][a-zé ]{0,8}[a-z]", fullmatch=True).map(lambda value: ({"valueString": value}, value))
    | st.from_regex(r"[a-z_]{1,9}", fullmatch=True).map(lambda value: ({"valueCoding": {"code": value}}, value))
)
groups = st.recursive(
    st.tuples(st.just("answers"), st.integers(0, 9), st.lists(values, min_size=1, max_size=3)),
    lambda inner: st.tuples(st.just("group"), st.integers(10, 12), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def built(tree: Any, expected: dict[str, list[str]]) -> dict[str, Any]:
    kind, number, inner = tree
    if kind == "group":
        return {"linkId": f"g{number}", "item": [built(one, expected) for one in inner]}
    expected.setdefault(f"q{number}", []).extend(text for _, text in inner)
    return item(f"q{number}", *(answer for answer, _ in inner))


@given(st.lists(groups, max_size=4))
@settings(max_examples=50, deadline=None)
def test_valid_responses_come_back_equal(trees: list[Any]) -> None:
    expected: dict[str, list[str]] = {}
    made = response(*(built(tree, expected) for tree in trees))
    if not made["item"]:
        del made["item"]
    valid = QuestionnaireResponse.model_validate(made)
    found = read(open_fhir, valid.model_dump_json().encode())
    answers = {name: cell for name, cell in found.records[0].items() if name not in ABOUT}
    assert answers == {name: SEVERAL.join(texts) for name, texts in expected.items()}


@given(st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_damaged_bytes_give_a_refusal_or_records(seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(SHAPES[chance.choice(list(SHAPES))].encode())
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content))
        content[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    assert refusal(open_fhir, bytes(content)) in {"", *problems()}
