"""What docs/evidence.md says about the figures is what the catalogue holds, and what is seen can be traced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalogue import Catalogue, Likelihood, Prior, load_catalogue
from schemas.form import questions

TEXT = (Path(__file__).parents[1] / "docs" / "evidence.md").read_text("utf-8")
# Findings that alone make an emergency; what more than one person in 300 ticks would drown the real ones.
CAUDA_EQUINA = ("neuro__saddle_numbness", "neuro__bladder_bowel", "neuro__sexual_function")
RARE = (
    *CAUDA_EQUINA,
    "systemic__very_unwell",
    "local__painful_hard_lump",
    "screen__testicular_pain",
    "exam__short_rotated_leg",
    "history__injecting_drugs",
    "history__sickle_cell",
)
# Conditions that the findings above belong to; elsewhere they are a coincidence.
HARMLESS = ("iliotibial_band_syndrome", "snapping_hip", "gluteal_tendinopathy", "hip_flexor_tendinopathy")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def _figures(catalogue: Catalogue) -> Iterator[tuple[str, Likelihood | Prior]]:
    for condition in catalogue.conditions.values():
        yield condition.id, condition.prior
        yield from ((condition.id, row) for row in condition.likelihoods)
        for group in condition.subgroups:
            yield group.id, group.share
            yield from ((group.id, row) for row in group.likelihoods)
    for factor in catalogue.factors.values():
        yield factor.id, factor.prior
        yield from ((factor.id, row) for row in (*factor.likelihoods, *factor.without))
    yield from ((pair.condition, pair.share) for pair in catalogue.comorbid_pairs)


def _seen(rows: Iterator[Likelihood]) -> list[int]:
    provenances = [row.provenance for row in rows]
    return [len(provenances), provenances.count("seen")]


def test_the_counts_in_the_document_are_those_of_the_catalogue(catalogue: Catalogue) -> None:
    stated = {
        name: [int(n) for n in counts.split("|")]
        for name, counts in re.findall(r"^\| \**(\w+)\** \| (\d+ \| \d+ \| \d+ \| \d+) \|$", TEXT, re.MULTILINE)
    }
    held = {
        condition.id: [
            *_seen(iter(condition.likelihoods)),
            *_seen(row for group in condition.subgroups for row in group.likelihoods),
        ]
        for condition in catalogue.conditions.values()
    }
    held["all"] = [sum(counts) for counts in zip(*held.values(), strict=True)]
    assert stated == held
    own, own_seen, sub, sub_seen = held["all"]
    prose = " ".join(TEXT.split())
    assert f"holds {own + sub} likelihoods, {own_seen + sub_seen} of them seen" in prose
    assert f"{own_seen} of {own} in the conditions, {sub_seen} of {sub} in their subgroups" in prose


def test_the_sums_of_the_document_add_up() -> None:
    bound, about, used, unused, other = map(
        int,
        re.findall(
            r"of (\d+) printed figures .*?, (\d+) are about .*?; (\d+) of these are used, (\d+) are not, "
            r".*? the (\d+) figures about other things",
            " ".join(TEXT.split()),
        )[0],
    )
    assert bound == about + other + 1  # the one of a contributing factor
    assert about == used + unused
    assert sum(int(n) for n in re.findall(r"^### .* \((\d+)\)$", TEXT, re.MULTILINE)) == unused + other


def test_every_source_that_the_document_names_can_be_looked_up(catalogue: Catalogue) -> None:
    tables, listed = TEXT.split("## Figures that were seen and are not used")[1].split("## Sources named only above")
    named = set(re.findall(r"^\| \w+ \| (\w+) \|", tables, re.MULTILINE))
    only_here = set(re.findall(r"^- `(\w+)`: \[[ABCD]\] .", listed, re.MULTILINE))
    assert len(named) > 50
    assert named == (named & set(catalogue.sources)) | only_here
    assert not only_here & set(catalogue.sources)


def test_what_is_seen_has_a_source_of_good_grade_and_lies_in_its_range(catalogue: Catalogue) -> None:
    for entry, figure in _figures(catalogue):
        assert figure.low <= figure.value <= figure.high, (entry, figure)
        if figure.provenance == "seen":
            assert catalogue.sources[figure.source].startswith(("[A] ", "[B] ")), (entry, figure)


def test_every_condition_speaks_about_every_answer_of_the_background(catalogue: Catalogue) -> None:
    """A share states both the answer and its absence, so one figure a box is enough for positives and negatives."""
    background = {(row.column, row.answer) for row in catalogue.conditions["not_in_catalogue"].likelihoods}
    for condition in catalogue.conditions.values():
        assert {(row.column, row.answer) for row in condition.likelihoods} == background, condition.id
    boxes = {column for column, answer in background if questions()[column].type == "yesno"}
    assert all((column, "1") in background for column in boxes)


def test_a_class_that_mixes_diseases_is_the_mean_of_its_subgroups(catalogue: Catalogue) -> None:
    mixed = [condition for condition in catalogue.conditions.values() if condition.subgroups]
    assert [condition.id for condition in mixed] == ["hernia", "deep_infection", "tumour"]
    for condition in mixed:
        stated = [{(row.column, row.answer) for row in group.likelihoods} for group in condition.subgroups]
        assert all(answers == stated[0] for answers in stated)
        for column, answer in stated[0]:
            if questions()[column].allowed_range:
                continue
            rows = [(group.share.value, group.likelihood(column, answer)) for group in condition.subgroups]
            mean = sum(share * row.value for share, row in rows if row is not None)
            whole = condition.likelihood(column, answer)
            assert whole is not None
            assert whole.value == pytest.approx(mean, abs=2e-3), (condition.id, column, answer)


def test_findings_of_an_emergency_are_rare_where_they_are_a_coincidence(catalogue: Catalogue) -> None:
    for name in HARMLESS:
        for column in RARE:
            row = catalogue.conditions[name].likelihood(column, "1")
            assert row is not None and row.value <= 0.002, (name, column)
    for condition in catalogue.conditions.values():
        chances = [row.value for row in condition.likelihoods if row.column in CAUDA_EQUINA]
        assert len(chances) == len(CAUDA_EQUINA)
        assert sum(chances) < 0.02, condition.id
