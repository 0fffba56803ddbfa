"""The red-flag rules as data: reading ``knowledge/rules`` and checking every entry.

Belongs here: what a rule is and what can be wrong with its file. Does not belong here: the language of conjuncts
(``models.rule_language``), shared facts and preparation (``models.rule_facts``), applying rules (``models.rules``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError, model_validator

from models.knowledge_files import KNOWLEDGE, KnowledgeError, condition_ids, digest_of, read_yaml
from models.rule_facts import FACTS_FILE, Facts, load_facts
from models.rule_language import Always, Conjunct, Not, parse, walk
from schemas.tiers import tiers

RULES_FOLDER = KNOWLEDGE / "rules"
NOT_EXPRESSIBLE_FILE = KNOWLEDGE / "rules_not_expressible.yaml"

# A rule of these tiers may not hold "not": stating one more finding must never take such a rule away.
_NO_NEGATION = ("emergency", "same_day", "urgent")

_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class RulesError(KnowledgeError):
    """A rules file that does not hold together; the message names the file, the rule and the field."""


class _RuleRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: _Id
    row: int | None
    text: _Text
    core: list[dict[str, Any]]
    other: list[dict[str, Any]] = []
    tier: str | None = None
    clock_hours: float | None = None
    raises_one_tier: bool = False
    destination: _Text
    first_imaging: _Text
    source: _Text
    condition: list[str]
    signed_by: _Text | None
    signed_on: date | None
    note: str

    @model_validator(mode="after")
    def _complete(self) -> _RuleRow:
        if not self.core:
            raise ValueError("core: a rule needs at least one core conjunct")
        if self.raises_one_tier == (self.tier is not None):
            raise ValueError("tier: a rule has either a tier or raises_one_tier")
        if self.tier is not None and self.tier not in tiers():
            raise ValueError(f"tier: {self.tier!r} is no tier")
        if self.clock_hours is not None and self.clock_hours <= 0:
            raise ValueError("clock_hours: must be above 0")
        if (self.signed_by is None) != (self.signed_on is None):
            raise ValueError("signed_by: a signature has a name and a date")
        return self


class NotExpressible(BaseModel):
    """A part of the standards page (``row``) that is no rule, and the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: int
    part: _Text
    reason: _Text


@dataclass(frozen=True, slots=True)
class Rule:
    """One published criterion.

    It fires when every conjunct of ``core`` and ``other`` is true. ``core`` holds the facts that make a rule worth
    asking about where others are missing. ``tier`` is None for a rule that ``raises_one_tier``. ``clock_hours`` is the
    source's own clock where it has one. ``row`` is the row of the standards page, None for a further rule.
    ``condition`` names the conditions it is about. ``signed_by`` is None until a clinician has signed it.
    """

    id: str
    text: str
    core: tuple[Conjunct, ...]
    other: tuple[Conjunct, ...]
    tier: str | None
    clock_hours: float | None
    raises_one_tier: bool
    destination: str
    first_imaging: str
    source: str
    row: int | None
    condition: tuple[str, ...]
    signed_by: str | None
    signed_on: str | None
    note: str

    @property
    def conjuncts(self) -> tuple[Conjunct, ...]:
        """Core first, then the others."""
        return self.core + self.other


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules, most urgent tier first (raising rules last), and the facts that prepare the answers for them.

    ``version`` changes with any byte of any file in the folder.
    """

    rules: tuple[Rule, ...]
    facts: Facts
    version: str


def load_rules(folder: Path | None = None) -> RuleSet:
    """Read and check every ``*.yaml`` in ``folder`` (default: the rules of this release, read once a process).

    ``facts.yaml`` holds the shared facts, every other file a list of rules. Raises ``RulesError`` naming the file,
    the rule and the field.
    """
    return _release_rules() if folder is None else _load(folder)


@cache
def _release_rules() -> RuleSet:
    return _load(RULES_FOLDER)


def _load(folder: Path) -> RuleSet:
    paths = sorted(folder.glob("*.yaml"))
    try:
        facts = load_facts(folder / FACTS_FILE)
        rules = [rule for path in paths if path.name != FACTS_FILE for rule in _read_file(path, facts)]
    except RulesError:
        raise
    except KnowledgeError as error:
        raise RulesError(str(error)) from error
    if not rules:
        raise RulesError(f"{folder.name}: no rules")
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise RulesError(f"rule {rule.id}: id: stands twice")
        seen.add(rule.id)
    last = len(tiers())
    rules.sort(key=lambda rule: tiers()[rule.tier].rank if rule.tier else last)  # stable: file order within a tier
    return RuleSet(tuple(rules), facts, digest_of(paths))


def _read_file(path: Path, facts: Facts) -> list[Rule]:
    raw = read_yaml(path)
    if not isinstance(raw, list):
        raise RulesError(f"{path.name}: the file is a list of rules")
    return [_read_rule(path.name, place, entry, facts) for place, entry in enumerate(raw)]


def _read_rule(name: str, place: int, entry: Any, facts: Facts) -> Rule:
    known_as = entry.get("id", place) if isinstance(entry, dict) else place
    where = f"{name}: rule {known_as}"
    try:
        row = _RuleRow.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RulesError(f"{where}: {'.'.join(map(str, first['loc'])) or 'the rule'}: {first['msg']}") from error
    if unknown := sorted(set(row.condition) - condition_ids()):
        raise RulesError(f"{where}: condition: the catalogue has no {unknown}")
    core = tuple(parse(part, f"{where}: core[{i}]", facts.named) for i, part in enumerate(row.core))
    other = tuple(parse(part, f"{where}: other[{i}]", facts.named) for i, part in enumerate(row.other))
    parts = [part for conjunct in core + other for part in walk(conjunct)]
    if row.tier in _NO_NEGATION and any(isinstance(part, Not) for part in parts):
        raise RulesError(f"{where}: not: a rule of tier {row.tier} may not depend on the absence of a finding")
    if all(isinstance(conjunct, Always) for conjunct in core + other):
        raise RulesError(f"{where}: core: the rule asks nothing")
    return Rule(
        id=row.id,
        text=row.text,
        core=core,
        other=other,
        tier=row.tier,
        clock_hours=row.clock_hours,
        raises_one_tier=row.raises_one_tier,
        destination=row.destination,
        first_imaging=row.first_imaging,
        source=row.source,
        row=row.row,
        condition=tuple(row.condition),
        signed_by=row.signed_by,
        signed_on=row.signed_on.isoformat() if row.signed_on else None,
        note=row.note,
    )


def load_not_expressible(path: Path = NOT_EXPRESSIBLE_FILE) -> tuple[NotExpressible, ...]:
    """The parts of the standards page that the form cannot express or that are default tiers, with the reason.

    Raises ``RulesError`` naming the file and the field.
    """
    try:
        return TypeAdapter(tuple[NotExpressible, ...]).validate_python(tuple(read_yaml(path)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RulesError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
