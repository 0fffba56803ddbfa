"""The tables of ``docs/articles.md``: every name exists, nothing that the articles name lives nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.advice import load_advice
from models.catalogue import load_catalogue
from models.knowledge_files import factor_ids
from models.rules import load_rules
from schemas.form import answer_columns

DOCUMENT = (Path(__file__).parents[1] / "docs" / "articles.md").read_text("utf-8")
ARTICLES = ("A1", "A2", "A3", "A4", "A5")
KINDS = {"cause", "symptom", "treatment", "referral"}
SAFETY = {"deep_infection", "tumour"}  # classes that no article names (product page, section 4)
CONDITIONS = set(load_catalogue().conditions)
ADVICE = {item.id: item.article for item in load_advice().self_care}
PROTECTION = {item.id for item in load_advice().until_seen}
RULES = {rule.id for rule in load_rules().rules}
KNOWN = CONDITIONS | factor_ids() | set(answer_columns()) | RULES | set(ADVICE) | PROTECTION


def _rows(article: str) -> list[list[str]]:
    """Cells of the table under the heading of ``article``: kind, what it names, where it lives."""
    section = re.split(rf"^## {article}: ", DOCUMENT, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line.strip().strip("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def _names(article: str) -> set[str]:
    return {name for row in _rows(article) for name in re.findall(r"`([^`]+)`", row[2])}


def _named_in_files(article: str) -> set[str]:
    """Conditions and factors whose own file says what ``article`` says of them."""
    held = [*load_catalogue().conditions.values(), *load_catalogue().factors.values()]
    return {one.id for one in held if article in one.articles}


@pytest.mark.parametrize("article", ARTICLES)
def test_every_row_is_whole_and_names_what_exists_or_why_not(article: str) -> None:
    for kind, what, where in _rows(article):
        assert kind in KINDS and what
        names = re.findall(r"`([^`]+)`", where)
        assert not (unknown := set(names) - KNOWN), (what, unknown)
        if not names:
            assert re.fullmatch(r"not held: .{10,}", where), (what, where)


@pytest.mark.parametrize("article", ARTICLES)
def test_every_kind_of_thing_is_looked_for_in_every_article(article: str) -> None:
    assert {row[0] for row in _rows(article)} == KINDS


def test_every_condition_and_factor_of_the_catalogue_is_reached() -> None:
    reached = set().union(*(_names(article) for article in ARTICLES))
    wanted = CONDITIONS - SAFETY - {"not_in_catalogue"}
    assert len(wanted) == 24 and len(factor_ids()) == 6
    assert wanted | factor_ids() <= reached
    assert not reached & SAFETY


@pytest.mark.parametrize("article", ARTICLES)
def test_the_files_of_conditions_and_factors_agree_with_the_table(article: str) -> None:
    ids = CONDITIONS | factor_ids()
    assert _names(article) & ids - RULES == _named_in_files(article) - RULES
    assert _named_in_files(article) <= _names(article)


@pytest.mark.parametrize("article", ARTICLES)
def test_every_piece_of_advice_stands_in_the_table_of_its_article(article: str) -> None:
    assert _names(article) & set(ADVICE) == {name for name, of in ADVICE.items() if of == article}


def test_the_referral_triggers_of_the_articles_are_rules() -> None:
    """The three questions of the third, the clearance of the fourth, no better after rest of the second."""
    for article, rule in (
        ("A3", "recurrent_without_evaluation"),
        ("A4", "not_cleared"),
        ("A2", "no_better_after_rest"),
    ):
        assert any(row[0] == "referral" and f"`{rule}`" in row[2] for row in _rows(article)), rule
