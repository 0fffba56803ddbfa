"""The words of the forms, read from ``stop_text.yaml`` and ``wording.yaml`` and checked against the form.

Belongs here: reading and checking those two files. Does not belong here: the order of questions
(``schemas.forms.layout``), what a question asks (``schemas.form``).
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.form import Question, form, questions

Audience = Literal["runner", "clinician"]
AUDIENCES: tuple[Audience, ...] = ("runner", "clinician")

Words = Annotated[str, Field(min_length=1)]
PHONE_NUMBER = re.compile(r"^\+?[0-9][0-9 ()/-]{0,30}$")


class StopText(BaseModel):
    """The stop text and who has signed it; ``number`` stands for the emergency number until a clinic names its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provenance: Literal["judgement"]
    signed_by: str | None
    signed_on: str | None
    heading: Words
    nobody_reads: Words
    signs: tuple[Words, ...] = Field(min_length=1)
    runner: Words
    clinician: Words
    number: Words

    @model_validator(mode="after")
    def _number_has_its_place(self) -> StopText:
        for audience in AUDIENCES:
            if "{number}" not in getattr(self, audience):
                raise ValueError(f"stop_text.yaml: {audience} has no place for the emergency number")
        return self

    def what_to_do(self, audience: Audience, number: str | None) -> str:
        """What to do at any of the signs; ``number`` is the clinic's emergency number, None for the general words."""
        text: str = getattr(self, audience)
        return text.replace("{number}", number or self.number)

    def in_full(self, audience: Audience, number: str | None) -> str:
        """The whole text as one line, for forms that take no list."""
        signs = "; ".join(self.signs)
        return f"{self.heading}. {self.nobody_reads} {signs[0].upper()}{signs[1:]}: {self._joined(audience, number)}"

    def _joined(self, audience: Audience, number: str | None) -> str:
        text = self.what_to_do(audience, number)
        return text[0].lower() + text[1:]

    @property
    def standing(self) -> str:
        """Who stands behind the words, for the foot of a form."""
        if self.signed_by and self.signed_on:
            return f"Stop text signed by {self.signed_by} on {self.signed_on}."
        return "Stop text not yet signed by a clinician."


class Wording(BaseModel):
    """Titles, plain words for answers, and units; every column, group, answer and unit named is one of the form's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sheets: dict[Audience, Words]
    intro: dict[Audience, tuple[Words, ...]]
    record_only: Words
    sections: dict[str, Words]
    groups: dict[str, Words]
    titles: dict[str, Words]
    answers: dict[str, dict[str, Words]]
    units: dict[str, Words]

    @model_validator(mode="after")
    def _of_the_form(self) -> Wording:
        of_form: dict[str, set[str | None]] = {
            "sections": {*(q.group for q in form()), "safety"},
            "groups": {q.box_group for q in form()},
            "titles": set(questions()),
            "answers": {q.column for q in form() if q.type == "choice"},
            "units": {q.unit for q in form()},
        }
        for part, known in of_form.items():
            unknown = sorted(set(getattr(self, part)) - known)
            if unknown:
                raise ValueError(f"wording.yaml: the form has no {part} {unknown}")
        for column, answers in self.answers.items():
            unknown = sorted(set(answers) - set(questions()[column].choices))
            if unknown:
                raise ValueError(f"wording.yaml: {column} has no answers {unknown}")
        return self

    def answer(self, question: Question, code: str) -> str:
        """Plain words for one answer of a choice question."""
        return self.answers.get(question.column, {}).get(code, code.replace("_", " "))


def emergency_number(text: str) -> str:
    """``text`` if it can be a telephone number (digits, spaces, ``+ ( ) / -``); raises ``ValueError`` if not."""
    number = text.strip()
    if not PHONE_NUMBER.match(number):
        raise ValueError("a telephone number has digits, spaces and the signs + ( ) / - only")
    return number


@cache
def stop_text() -> StopText:
    """The stop text, checked."""
    return StopText.model_validate(_read("stop_text.yaml"))


@cache
def wording() -> Wording:
    """The other words of the forms, checked against the form."""
    return Wording.model_validate(_read("wording.yaml"))


def _read(name: str) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(resources.files("schemas.forms").joinpath(name).read_bytes(), Loader=loader)  # noqa: S506
