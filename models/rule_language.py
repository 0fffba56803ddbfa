"""The language in which red-flag rules and named facts are written: conjuncts as data, compiled to expressions.

Belongs here: the forms a conjunct may take, their check against the intake form, and their meaning in three values.
Does not belong here: the rules themselves (``knowledge/rules``), how answers are prepared (``models.rule_facts``).

Every conjunct is a mapping in one of these forms (columns are the form's, or derived ones of ``DERIVED``):

==========================================  ==========================================================
``{column: systemic__fever}``               a yes/no answer, true when stated
``{column: weight_bearing, is: [cannot]}``  a choice, true when the answer is one of these
``{column: age_years, below: 16}``          a number within ``at_least``, ``above``, ``at_most``, ``below``
``{any: [...]}``, ``{all: [...]}``          at least one of, all of
``{at_least: 2, of: [...]}``                at least so many of
``{not: {...}}``                            the opposite
``{fact: fever}``                           a fact named in ``facts.yaml``
``{always: true}``                          true of everybody who fills in the form
==========================================  ==========================================================

Three values (Kleene): true, false, and null for an answer that nobody gave. A blank is never read as no.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.knowledge_files import KnowledgeError
from schemas.form import answer_columns, questions

# Numbers that the form does not ask but that follow from what it asks: name -> the columns it follows from.
DERIVED: dict[str, tuple[str, ...]] = {"bmi": ("height_cm", "weight_kg")}

_BOUNDS = ("at_least", "above", "at_most", "below")


class Conjunct:
    """One statement about a record that is true, false, or not known. Subclasses say which."""

    __slots__ = ()

    def expression(self) -> pl.Expr:
        """A boolean expression over prepared answers (``models.rule_facts``); null where not known."""
        raise NotImplementedError

    def parts(self) -> tuple[Conjunct, ...]:
        """The conjuncts it is made of; empty for one that reads a column itself."""
        return ()

    def columns(self) -> tuple[str, ...]:
        """Every column it reads, each once, derived ones included."""
        return tuple(dict.fromkeys(column for part in self.parts() for column in part.columns()))

    def askable(self) -> tuple[str, ...]:
        """Every column of the form that settles it and may be asked for (the hop test never is)."""
        columns = [source for column in self.columns() for source in DERIVED.get(column, (column,))]
        return tuple(column for column in dict.fromkeys(columns) if questions()[column].ask == "ask")

    def ask(self) -> tuple[str, ...]:
        """The columns of the form worth asking first when it is not known: the shortest useful list."""
        if self.parts():
            return tuple(dict.fromkeys(column for part in self.parts() for column in part.ask()))
        return self.askable()


@dataclass(frozen=True, slots=True)
class Stated(Conjunct):
    """A yes/no answer."""

    column: str

    def expression(self) -> pl.Expr:
        """True where stated, false where asked and absent."""
        return pl.col(self.column)

    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class IsOneOf(Conjunct):
    """A choice that is one of ``answers``."""

    column: str
    answers: tuple[str, ...]

    def expression(self) -> pl.Expr:
        """True where the answer is one of them, false where it is another, null where blank."""
        return pl.col(self.column).is_in(self.answers)

    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class InRange(Conjunct):
    """A number within all ``bounds`` (pairs of a bound's name and its value, in the column's unit)."""

    column: str
    bounds: tuple[tuple[str, float], ...]

    def expression(self) -> pl.Expr:
        """True where the number lies within, null where it is blank."""
        value = pl.col(self.column)
        tests = {"at_least": value.ge, "above": value.gt, "at_most": value.le, "below": value.lt}
        return pl.all_horizontal([tests[name](bound) for name, bound in self.bounds])

    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class AnyOf(Conjunct):
    """True if one of its members is, false if all are false."""

    members: tuple[Conjunct, ...]

    def expression(self) -> pl.Expr:
        """Kleene or."""
        return pl.any_horizontal([member.expression() for member in self.members])

    def parts(self) -> tuple[Conjunct, ...]:
        """Its members."""
        return self.members


@dataclass(frozen=True, slots=True)
class AllOf(Conjunct):
    """True if all its members are, false if one is false."""

    members: tuple[Conjunct, ...]

    def expression(self) -> pl.Expr:
        """Kleene and."""
        return pl.all_horizontal([member.expression() for member in self.members])

    def parts(self) -> tuple[Conjunct, ...]:
        """Its members."""
        return self.members


@dataclass(frozen=True, slots=True)
class AtLeast(Conjunct):
    """True if ``count`` of its members are, false if so many cannot be reached any more."""

    count: int
    members: tuple[Conjunct, ...]

    def expression(self) -> pl.Expr:
        """Three values from two counts: of members that are true, and of members that may be."""
        truths = [member.expression() for member in self.members]
        sure = pl.sum_horizontal([truth.fill_null(False).cast(pl.UInt8) for truth in truths])
        possible = pl.sum_horizontal([truth.fill_null(True).cast(pl.UInt8) for truth in truths])
        known = pl.when(possible < self.count).then(False)
        return pl.when(sure >= self.count).then(True).otherwise(known)

    def parts(self) -> tuple[Conjunct, ...]:
        """Its members."""
        return self.members


@dataclass(frozen=True, slots=True)
class Not(Conjunct):
    """The opposite of its member."""

    member: Conjunct

    def expression(self) -> pl.Expr:
        """Kleene not: what is not known stays not known."""
        return ~self.member.expression()

    def parts(self) -> tuple[Conjunct, ...]:
        """Its member."""
        return (self.member,)


@dataclass(frozen=True, slots=True)
class Fact(Conjunct):
    """A named fact of ``facts.yaml``: what it means, what to ask for it, and where its cut-off comes from."""

    name: str
    means: Conjunct
    ask_for: tuple[str, ...]
    source: str

    def expression(self) -> pl.Expr:
        """What it means."""
        return self.means.expression()

    def parts(self) -> tuple[Conjunct, ...]:
        """What it means."""
        return (self.means,)

    def ask(self) -> tuple[str, ...]:
        """The columns that ``facts.yaml`` says to ask for, else all."""
        return self.ask_for or self.means.ask()


@dataclass(frozen=True, slots=True)
class Always(Conjunct):
    """True of everybody: whoever fills in the form has hip pain."""

    def expression(self) -> pl.Expr:
        """True."""
        return pl.lit(True)


def parse(raw: Any, where: str, facts: Mapping[str, Fact]) -> Conjunct:
    """The conjunct that ``raw`` (one YAML value) states.

    ``where`` is put before every message ("infection.yaml: rule x: core[0]"). Raises ``KnowledgeError`` for a form
    that is not in the table above, a column, answer or fact that does not exist, or a bound outside what can be read.
    """
    if not isinstance(raw, dict) or not raw:
        raise KnowledgeError(f"{where}: a conjunct is a mapping, such as {{column: systemic__fever}}")
    keys = set(raw)
    if "column" in keys:
        return _column(raw, where)
    if keys == {"any"} or keys == {"all"}:
        form = AnyOf if keys == {"any"} else AllOf
        return form(_members(raw[next(iter(keys))], where, facts))
    if keys == {"at_least", "of"}:
        members, count = _members(raw["of"], where, facts), raw["at_least"]
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= len(members):
            raise KnowledgeError(f"{where}: at_least must be a whole number from 1 to {len(members)}")
        return AtLeast(count, members)
    if keys == {"not"}:
        return Not(parse(raw["not"], where, facts))
    if keys == {"fact"}:
        if raw["fact"] not in facts:
            raise KnowledgeError(f"{where}: no fact {raw['fact']!r} in facts.yaml (a fact is named before it is used)")
        return facts[raw["fact"]]
    if raw == {"always": True}:
        return Always()
    raise KnowledgeError(f"{where}: no conjunct has the keys {sorted(map(str, keys))}")


def _members(raw: Any, where: str, facts: Mapping[str, Fact]) -> tuple[Conjunct, ...]:
    if not isinstance(raw, list) or not raw:
        raise KnowledgeError(f"{where}: any, all and of take a list of conjuncts")
    return tuple(parse(part, f"{where}[{place}]", facts) for place, part in enumerate(raw))


def _column(raw: Mapping[str, Any], where: str) -> Conjunct:
    column, rest = raw["column"], {key: value for key, value in raw.items() if key != "column"}
    if column in DERIVED:
        return _number(column, rest, (0.0, float("inf")), where)
    if column not in answer_columns():
        raise KnowledgeError(f"{where}: the form has no answer column {column!r}")
    question = questions()[column]
    if question.type == "yesno":
        if rest:
            raise KnowledgeError(f"{where}: {column} is yes/no and takes nothing beside its name")
        return Stated(column)
    if question.type == "choice":
        answers = rest.get("is")
        if set(rest) != {"is"} or not isinstance(answers, list) or not answers:
            raise KnowledgeError(f"{where}: {column} is a choice and needs is: [answers]")
        if unknown := [answer for answer in answers if answer not in question.choices]:
            raise KnowledgeError(f"{where}: {column} has no answer {unknown}")
        return IsOneOf(column, tuple(answers))
    if question.allowed_range is None:
        raise KnowledgeError(f"{where}: {column} cannot be used in a rule")
    return _number(column, rest, question.allowed_range, where)


def _number(column: str, rest: Mapping[str, Any], readable: tuple[float, float], where: str) -> Conjunct:
    if not rest or not set(rest) <= set(_BOUNDS):
        raise KnowledgeError(f"{where}: {column} is a number and needs one or more of {', '.join(_BOUNDS)}")
    for name, bound in rest.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not readable[0] <= bound <= readable[1]:
            raise KnowledgeError(f"{where}: {column}: {name} must be a number that the form can read")
    return InRange(column, tuple((name, float(rest[name])) for name in _BOUNDS if name in rest))


def walk(conjunct: Conjunct) -> Iterator[Conjunct]:
    """The conjunct and everything it is made of."""
    yield conjunct
    for part in conjunct.parts():
        yield from walk(part)
