"""The report page and the card: complete, self-contained, the same again, and honest about what is missing."""

from __future__ import annotations

import re
from copy import deepcopy
from html.parser import HTMLParser

import matplotlib
import pytest

from models.card import card_text
from models.evaluation import wording
from models.evaluation.report import report_html
from models.evaluation.statements import NOT_MEASURED
from tests.evaluated import MANIFEST, evaluation

HEADINGS = [
    "Intended use",
    "What it is not for",
    "Inputs, and what is missing",
    "Data it learnt from",
    "Candidates and the rule of selection",
    "Accuracy beside baselines",
    "Reliability",
    "Confusion by condition",
    "Tiers: sensitivity and over-triage",
    "Sensitivity against over-triage",
    "Net benefit",
    "Coverage of what cannot be excluded",
    "Learning curve",
    "Subgroups",
    "Limits and known failures",
    "Oversight",
    "Versions and hashes",
    "How to read this page",
]
MEASURED = [
    "worlds",
    "scores",
    "reliability",
    "confusion",
    "tiers",
    "decisions",
    "coverage",
    "learning_curve",
    "subgroups",
]
ALL_MISSING = len(MEASURED) + 1  # decisions stand under two headings


class Page(HTMLParser):
    """What a page holds: tags in order, attributes, ids, and whether every tag is closed in turn."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def text() -> str:
    return report_html(MANIFEST, evaluation())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_has_every_heading_and_is_whole(page: Page) -> None:
    assert page.headings == HEADINGS
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {attrs["href"] for tag, attrs in page.seen if tag == "a"}
    assert targets == {f"#{name}" for name in ids if f"#{name}" in targets}
    assert len(targets) == len(HEADINGS)


def test_the_page_needs_nothing_else(text: str, page: Page) -> None:
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "image"}
    for _, attrs in page.seen:
        for name, value in attrs.items():
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                assert (value or "").startswith("#")
            assert not name.startswith("on")
            assert "url(" not in (value or "").replace("url(#", "")
    assert not re.search(r"@import|url\(\s*[\"']?(?!#)", text)
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_each_plot_says_what_it_shows_and_has_a_caption(page: Page) -> None:
    labels = [attrs.get("aria-label") for tag, attrs in page.seen if tag == "svg"]
    assert len(labels) == len(set(labels)) == 9
    assert all(labels)
    assert sum(tag == "figcaption" for tag, _ in page.seen) == 9


def test_the_same_evaluation_gives_the_same_bytes_whatever_the_settings(text: str) -> None:
    with matplotlib.rc_context({"lines.linewidth": 9, "svg.hashsalt": None, "font.size": 30}):
        before = dict(matplotlib.rcParams)
        assert report_html(dict(MANIFEST), deepcopy(evaluation())) == text
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    "words",
    [
        "Nothing on this page is proof of safety",
        "Not yet signed by a clinician",
        "not tested on this clinic&#39;s patients",
        "generated from published and judged likelihoods; no patient record",
        "plain naive Bayes",
        "prevalence",
        "always urgent",
        "rules alone",
        "lowest mean log loss over the held-back worlds.",
        "blend (chosen)",
        "0123456789ab",
        "beef" * 16,
        "Wilson score intervals",
        "too few",
    ],
)
def test_the_page_says(words: str, text: str) -> None:
    assert words in text


def test_figures_stand_on_the_page_with_interval_and_n(text: str) -> None:
    cell = evaluation()["tiers"]["product"]["urgent_or_faster"]["any dangerous condition"]
    assert f"<td>{wording.figure(cell)}</td>" in text
    assert wording.figure({"value": 0.5, "low": 0.4, "high": 0.6, "n": 1234}) == (
        "50.0\u00a0% (40.0 to 60.0; n\u00a0=\u00a01,234)"
    )
    assert wording.figure({"value": 1.5, "low": None, "high": None, "n": None}, "loss") == "1.500*"
    assert wording.figure(None) == "too few"


def test_nothing_claims_calibration(text: str) -> None:
    for said in (text, card_text(MANIFEST, evaluation())):
        assert "calibrated" not in said.lower()


@pytest.mark.parametrize("part", MEASURED)
def test_parts_that_were_not_measured_are_left_out_and_said(part: str) -> None:
    always = ("n", "tested_on", "by_condition_n", "by_condition_from")
    alone = report_html(MANIFEST, {key: evaluation()[key] for key in (*always, part)})
    assert Page(alone).headings == HEADINGS
    assert alone.count(NOT_MEASURED) == ALL_MISSING - (2 if part == "decisions" else 1)


def test_an_older_model_has_a_page_without_figures() -> None:
    older = {"records": 10, "model": {"log_loss": 1.0}, "dangerous": {}}
    for manifest in (MANIFEST, {}):
        bare = report_html(manifest, older)
        assert Page(bare).headings == HEADINGS
        assert bare.count(NOT_MEASURED) == ALL_MISSING
        assert "<svg" not in bare


def test_words_of_the_manifest_cannot_become_markup() -> None:
    given = {**MANIFEST, "candidate": "<script>alert(1)</script>"}
    assert "<script>" not in report_html(given, {})


def test_figures_hidden_in_the_evaluation_are_hidden_on_the_page() -> None:
    lacking = deepcopy(evaluation())
    for curve in lacking["decisions"].values():
        curve["at_chosen"] = {"sensitivity": None, "over_triage": None}
        for point in curve["curve"]:
            point |= {"sensitivity": None, "over_triage": None, "net_benefit": None, "treat_all": None}
            point["policies"] = dict.fromkeys(point["policies"])
    lacking["reliability"] = {
        name: [own | {"predicted": None, "observed": None} for own in bins]
        for name, bins in lacking["reliability"].items()
    }
    lacking["confusion"] = dict.fromkeys(lacking["confusion"])
    kept = ("n", "tested_on", "by_condition_n", "by_condition_from", "decisions", "reliability", "confusion")
    assert Page(report_html(MANIFEST, {key: lacking[key] for key in kept})).headings == HEADINGS


def test_the_card_is_short_and_says_the_same() -> None:
    card = card_text(MANIFEST, evaluation())
    titles = re.findall(r"^## (.*)$", card, flags=re.M)
    assert [title for title in titles if title in HEADINGS] == [h for h in HEADINGS if h in titles]
    assert len(card.splitlines()) < 120
    for words in (
        "0123456789ab",
        "Candidate chosen: blend.",
        "no patient record",
        "not tested on this clinic's patients",
        "Not yet signed by a clinician",
        "proof of safety",
        "| plain naive Bayes |",
        "| always urgent |",
        "Stated coverage 90.0",
    ):
        assert words in card
    assert NOT_MEASURED not in card


def test_the_card_of_an_older_model_says_what_was_not_measured() -> None:
    assert card_text({}).count(NOT_MEASURED) == 5


def test_a_model_that_learnt_from_outcomes_does_not_claim_to_be_untested() -> None:
    basis = {**MANIFEST, "evidence_basis": "literature+outcomes(312)"}
    for said in (report_html(basis, {}), card_text(basis)):
        assert "not tested on this clinic" not in said
        assert "literature+outcomes(312)" in said
