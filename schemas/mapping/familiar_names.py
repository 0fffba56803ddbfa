"""Which column of the form a source column may mean, and which answer a text: guesses, for drafts alone.

Belongs here: looking a name or a text up in ``synonyms.yaml``. Does not belong here: reading a file, for which nothing
is ever guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict

from schemas.form import Question, form, questions
from schemas.mapping.near import nearly_named
from schemas.mapping.redcap import field_names
from schemas.mapping.units import units_to
from schemas.mapping.yaml_text import parse_texts

_UNIT_AFTER = re.compile(r"^(?P<name>.*?)[\s_(\[,.]+(?:in\s+)?(?P<unit>[^\s_(\[,.)\]]+)[)\]]?$")


class _Synonyms(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, tuple[str, ...]]
    units: dict[str, str]
    yes: tuple[str, ...]
    no: tuple[str, ...]
    not_ticked: tuple[str, ...]
    blank: tuple[str, ...]
    answers: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Meant:
    """A guess: the column of the form, the unit that the name states ('' for none, '?' for an unclear one), and why."""

    column: str
    unit: str
    why: str


@cache
def synonyms() -> _Synonyms:
    """The names and texts that drafts know."""
    return _Synonyms.model_validate(
        parse_texts(resources.files("schemas.mapping").joinpath("synonyms.yaml").read_bytes())
    )


def column_meant(name: str) -> Meant | None:
    """The column that a source column's name seems to mean; None where there is no good guess."""
    if name in questions():
        return Meant(name, "", "the form's own name")
    if name in field_names():
        return Meant(field_names()[name], "", "the form's name in REDCap")
    if found := _known(name):
        return Meant(found, _unit_by_name().get(_plain(name), ""), "a common name")
    parts = _UNIT_AFTER.match(name.strip())
    if parts and (found := _known(parts["name"])) and (unit := _unit(questions()[found], parts["unit"])):
        return Meant(found, unit, "a common name with its unit")
    near = nearly_named([name], questions())
    if len(near) != 1:
        return None
    # The slip may be the unit: crp_mg_dl is a letter away from crp_mg_l.
    return Meant(near[0], "?" if units_to(questions()[near[0]].unit) else "", "nearly the form's name")


def answer_meant(question: Question, text: str) -> str | None:
    """The answer of the form that a text seems to mean; None where there is no good guess."""
    word = text.strip().casefold()
    if question.type == "yesno":
        noes = (*synonyms().no, *synonyms().not_ticked)
        return "1" if word in synonyms().yes else "0" if word in noes else None
    by_word = {_plain(answer): answer for answer in question.choices}
    return by_word.get(_plain(word)) or synonyms().answers.get(question.column, {}).get(word)


def says_no(text: str) -> bool:
    """Whether a text is a word of the answer no, in one of several languages; 0, false and Unchecked are none."""
    return text.strip().casefold() in synonyms().no


@cache
def _by_name() -> dict[str, str]:
    """Column by plain name: its own, its question as printed, and its synonyms; what two columns share means none."""
    found: dict[str, set[str]] = {}
    for question in form():
        for name in (question.column, question.question, *synonyms().columns.get(question.column, ())):
            found.setdefault(_plain(name), set()).add(question.column)
    return {name: next(iter(columns)) for name, columns in found.items() if len(columns) == 1}


@cache
def _unit_by_name() -> dict[str, str]:
    return {_plain(name): unit for name, unit in synonyms().units.items()}


def _known(name: str) -> str | None:
    return _by_name().get(_plain(name)) if _plain(name) else None


def _unit(question: Question, text: str) -> str:
    by_word = {name.casefold(): name for name in units_to(question.unit)}
    return by_word.get(text.casefold(), "")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
