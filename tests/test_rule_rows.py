"""``docs/rules.md`` against the rules: every row and part of the published criteria is held, or said not to be."""

from __future__ import annotations

import re
from pathlib import Path

from models.catalogue import load_catalogue
from models.rule_language import DERIVED, Conjunct, Fact
from models.rules import load_not_expressible, load_rules
from schemas.form import answer_columns
from schemas.tiers import tiers

DOCUMENT = (Path(__file__).parents[1] / "docs" / "rules.md").read_text("utf-8")
KINDS = {"published", "added", "narrower", "cannot express", "default"}
RULES = {rule.id: rule for rule in load_rules().rules}
FACTS = set(load_rules().facts.named)
COLUMNS = {*answer_columns(), *DERIVED}
CATALOGUE = load_catalogue().conditions
LINES = [
    (int(cells[0]), cells[1], cells[2], set(re.findall(r"`([^`]+)`", cells[3])))
    for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in DOCUMENT.splitlines())
    if cells and cells[0].isdigit()
]


def _reads(conjunct: Conjunct) -> set[str]:
    """Named facts and columns that a conjunct names itself; what a fact is made of stands in ``facts.yaml``."""
    if isinstance(conjunct, Fact):
        return {conjunct.name}
    if not conjunct.parts():
        return set(conjunct.columns())
    return set().union(*(_reads(part) for part in conjunct.parts()))


def _reads_of(rule: str) -> set[str]:
    return set().union(*(_reads(conjunct) for conjunct in RULES[rule].conjuncts))


def test_every_row_is_accounted_for() -> None:
    assert {row for row, *_ in LINES} == set(range(1, 30))
    assert {kind for _, kind, *_ in LINES} == KINDS
    held = {rule.row for rule in RULES.values() if rule.row is not None}
    assert held | {part.row for part in load_not_expressible()} == set(range(1, 30))


def test_every_name_exists_and_belongs_to_the_row() -> None:
    for row, kind, part, names in LINES:
        rules = {name for name in names if name in RULES and RULES[name].row == row}  # "child" is a fact as well
        if kind == "cannot express":
            assert not names, part
        elif kind == "default":
            assert names and names <= set(CATALOGUE), part
        else:
            assert rules, part
            assert names - rules <= FACTS | COLUMNS, (part, names - rules - FACTS - COLUMNS)
            read = set().union(*(_reads_of(name) for name in rules))
            assert names - rules <= read, (part, names - rules - read)


def test_whatever_a_rule_of_a_row_reads_is_told() -> None:
    for rule in RULES.values():
        if rule.row is not None:
            told = [names for row, _, _, names in LINES if row == rule.row and rule.id in names]
            missing = _reads_of(rule.id) - set().union(*(names for row, _, _, names in LINES if row == rule.row))
            assert told and not missing, (rule.id, missing)


def test_what_the_form_cannot_express_stands_in_both_places() -> None:
    told = sorted((row, part) for row, kind, part, _ in LINES if kind == "cannot express")
    assert told == sorted((part.row, part.part) for part in load_not_expressible())
    assert all(len(part.reason) >= 20 for part in load_not_expressible())


def test_default_tiers_are_those_of_the_row() -> None:
    expected = {27: ("self_care", "routine"), 28: ("soon",), 29: ("routine",)}
    for row, kind, _, names in LINES:
        if kind == "default":
            assert {CATALOGUE[name].tier for name in names} <= set(expected[row]) <= set(tiers())
