"""In which order the form is asked, and what is one question of it: the plan that every kind of form follows.

Belongs here: sheets, sections, questions, boxes and where the stop text stands. Does not belong here: how a sheet is
written as a REDCap dictionary, a FHIR Questionnaire or a page (the modules beside this one), the words
(``schemas.forms.wording``).

Safety comes first, then core, then optional (``step`` of the form). Columns of one group are one question: boxes to
tick for the runner, findings present or absent for the clinician. Movements that nobody is asked to try
(``record_only``) stand apart, for the clinician's printed sheet alone; ``derived`` columns stand nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from schemas.form import NONE_OF_THESE, Question, form
from schemas.forms.wording import Audience, wording

SAFETY_STEP = 1
RECORD_GROUP = "record"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it is asked: a single column, or the columns of a group.

    ``kind``: ``boxes`` (tick what applies), ``findings`` (each present, absent or left blank) or ``single``.
    ``name``: the column, or the group before ``__``. ``stop_after``: whether the stop text follows it.
    """

    name: str
    title: str
    kind: Literal["boxes", "findings", "single"]
    questions: tuple[Question, ...]
    stop_after: bool = False

    @property
    def question(self) -> Question:
        """The only column of a ``single`` question."""
        (only,) = self.questions
        return only

    def label(self, question: Question) -> str:
        """The words beside one box or finding of this question."""
        shared, _, own = question.question.partition(": ")
        return own if own and shared == self.title else question.question

    def code(self, question: Question) -> str:
        """The name of one box within its group: ``fever`` of ``systemic__fever``."""
        return question.column.partition("__")[2]


@dataclass(frozen=True, slots=True)
class Section:
    """Questions under one heading; ``step`` 1 is safety, 2 core, 3 optional."""

    name: str
    title: str
    step: int
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one person fills in: the record's own columns, the sections in order, and what is only ever recorded."""

    audience: Audience
    title: str
    header: tuple[Question, ...]
    sections: tuple[Section, ...]
    record_only: Asked | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns asked for, in order, without the header and without what is only recorded."""
        return tuple(q.column for section in self.sections for asked in section.asked for q in asked.questions)


@cache
def sheet(audience: Audience) -> Sheet:
    """The sheet of the runner or of the clinician."""
    mine = [q for q in form() if q.asked_of == audience]
    asked = sorted((q for q in mine if q.ask == "ask"), key=lambda q: q.step)
    only_recorded = tuple(q for q in mine if q.ask == "record_only")
    return Sheet(
        audience=audience,
        title=wording().sheets[audience],
        header=header(),
        sections=tuple(_sections(asked)),
        record_only=Asked("record_only", wording().record_only, "findings", only_recorded) if only_recorded else None,
    )


@cache
def header() -> tuple[Question, ...]:
    """The record's own columns: identifier, clinic, time, person and who gave the answers."""
    return tuple(q for q in form() if q.group == RECORD_GROUP and q.ask == "ask")


def title(question: Question) -> str:
    """What stands above a single question."""
    text = wording().titles.get(question.column, question.question)
    return text[0].upper() + text[1:]


def _sections(asked: list[Question]) -> Iterable[Section]:
    places = {(q.step, _section_name(q)): None for q in asked}
    for step, name in places:
        own = [q for q in asked if (q.step, _section_name(q)) == (step, name)]
        asked_so = _questions(own)
        if step == SAFETY_STEP:
            asked_so = _with_stops(asked_so)
        yield Section(name, wording().sections[name], step, asked_so)


def _section_name(question: Question) -> str:
    return "safety" if question.step == SAFETY_STEP else question.group


def _questions(columns: list[Question]) -> tuple[Asked, ...]:
    """Columns as questions: each group once, where its first column stands, and 'none of these' as its last box."""
    names = {q.box_group or q.column: None for q in columns}
    found = []
    for name in names:
        own = tuple(
            sorted(
                (q for q in columns if (q.box_group or q.column) == name),
                key=lambda q: q.column.endswith(f"__{NONE_OF_THESE}"),
            )
        )
        if own[0].box_group is None:
            found.append(Asked(name, title(own[0]), "single", own))
        else:
            found.append(Asked(name, _group_title(name), "boxes" if own[0].asked_of == "runner" else "findings", own))
    return tuple(found)


@cache
def _group_title(name: str) -> str:
    """The words that all questions of the group share before a colon, else its title in ``wording.yaml``."""
    shared = {q.question.partition(": ")[0] for q in form() if q.box_group == name and ": " in q.question}
    members = [q for q in form() if q.box_group == name]
    if len(shared) == 1 and all(": " in q.question for q in members):
        return shared.pop()
    return wording().groups[name]


def _with_stops(questions: tuple[Asked, ...]) -> tuple[Asked, ...]:
    """The stop text after each group of boxes, and after the single questions that stand before the first group."""
    following = (*questions[1:], None)
    return tuple(
        replace(asked, stop_after=asked.kind == "boxes" or after is None or after.kind == "boxes")
        for asked, after in zip(questions, following, strict=True)
    )
