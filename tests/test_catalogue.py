"""The catalogue that ships: complete, fitting the form, every figure with a source; and what a bad file gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.catalogue import Catalogue, CatalogueError, Likelihood, load_catalogue
from models.catalogue_checks import check_pairs
from models.catalogue_files import ComorbidPairRow, LikelihoodRow
from models.knowledge_files import KNOWLEDGE
from schemas.form import answer_columns, questions
from schemas.tiers import tiers

IDS = [
    "trochanteric_bursitis",
    "infectious_bursitis",
    "gluteal_tendinopathy",
    "hip_flexor_strain",
    "hip_flexor_tendinopathy",
    "hamstring_injury",
    "hamstring_tendinopathy",
    "quadriceps_tear",
    "adductor_strain",
    "labral_tear",
    "femoroacetabular_impingement",
    "iliotibial_band_syndrome",
    "snapping_hip",
    "piriformis_syndrome",
    "sciatica",
    "meralgia_paresthetica",
    "osteoarthritis",
    "hernia",
    "bone_stress_injury",
    "femoral_neck_stress_fracture",
    "avascular_necrosis",
    "septic_arthritis",
    "slipped_capital_femoral_epiphysis",
    "synovitis",
    "deep_infection",
    "tumour",
    "not_in_catalogue",
]
FACTORS = [
    "muscle_imbalance",
    "running_form",
    "cambered_roads",
    "tight_hip_flexors",
    "training_overload",
    "hip_alignment",
]
DANGEROUS = {
    "femoral_neck_stress_fracture": "same_day",
    "septic_arthritis": "emergency",
    "slipped_capital_femoral_epiphysis": "same_day",
    "infectious_bursitis": "same_day",
    "deep_infection": "same_day",
    "tumour": "urgent",
    "avascular_necrosis": "urgent",
    "bone_stress_injury": "urgent",
}
# Figures of conditions and their subgroups that come from a study or review; fewer means some were lost.
SEEN_AT_LEAST = 119


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def _all_rows(catalogue: Catalogue) -> list[tuple[str, Likelihood]]:
    rows = [(condition.id, row) for condition in catalogue.conditions.values() for row in condition.likelihoods]
    for condition in catalogue.conditions.values():
        rows += [(group.id, row) for group in condition.subgroups for row in group.likelihoods]
    return rows + [(f.id, row) for f in catalogue.factors.values() for row in (*f.likelihoods, *f.without)]


def test_every_condition_and_factor_is_there_in_order(catalogue: Catalogue) -> None:
    assert list(catalogue.conditions) == IDS
    assert list(catalogue.factors) == FACTORS
    assert [condition.id for condition in catalogue.conditions.values()] == IDS


def test_every_figure_is_about_an_answer_of_the_form(catalogue: Catalogue) -> None:
    for entry, row in _all_rows(catalogue):
        question = questions()[row.column]
        assert row.column in answer_columns(), (entry, row)
        if question.type == "yesno":
            assert row.answer == "1", (entry, row)
        elif question.type == "choice":
            assert row.answer in question.choices, (entry, row)
        else:
            assert row.answer in ("p05", "p50", "p95"), (entry, row)


def test_every_figure_lies_in_its_range(catalogue: Catalogue) -> None:
    for entry, row in _all_rows(catalogue):
        low, high = questions()[row.column].allowed_range or (0.0, 1.0)
        assert low <= row.low <= row.value <= row.high <= high, (entry, row)


def test_choices_sum_to_one_and_percentiles_rise(catalogue: Catalogue) -> None:
    for condition in catalogue.conditions.values():
        by_column: dict[str, dict[str, float]] = {}
        for row in condition.likelihoods:
            by_column.setdefault(row.column, {})[row.answer] = row.value
        for column, values in by_column.items():
            if questions()[column].type == "choice":
                assert sum(values.values()) == pytest.approx(1, abs=1e-3), (condition.id, column)
            elif questions()[column].allowed_range:
                assert list(values) == ["p05", "p50", "p95"], (condition.id, column)
                assert values["p05"] <= values["p50"] <= values["p95"], (condition.id, column)
                assert values["p05"] < values["p95"], (condition.id, column)


def test_no_condition_makes_a_box_certain(catalogue: Catalogue) -> None:
    """A likelihood of 0 or 1 would let one wrong tick rule a condition in or out for good."""
    for entry, row in _all_rows(catalogue):
        if questions()[row.column].type == "yesno":
            assert 0 < row.value < 1, (entry, row)


def test_every_condition_speaks_about_the_same_answers(catalogue: Catalogue) -> None:
    """A figure that only some conditions have would read as a difference between conditions."""
    asked = [[(row.column, row.answer) for row in condition.likelihoods] for condition in catalogue.conditions.values()]
    assert all(columns == asked[0] for columns in asked)


def test_every_source_is_known_and_good_enough(catalogue: Catalogue) -> None:
    for entry, row in _all_rows(catalogue):
        assert (row.source == "judgement") == (row.provenance == "judgement"), (entry, row)
        if row.provenance == "seen":
            assert catalogue.sources[row.source].startswith(("[A] ", "[B] ")), (entry, row)
            assert row.note, (entry, row)


def test_every_source_key_is_mentioned_somewhere() -> None:
    files = [*KNOWLEDGE.glob("con*/*.yaml"), KNOWLEDGE / "comorbid_pairs.yaml"]
    text = "".join(path.read_text("utf-8") for path in files)
    unused = [key for key in load_catalogue().sources if not re.search(rf"\b{re.escape(key)}\b", text)]
    assert unused == []


def test_enough_figures_are_sourced(catalogue: Catalogue) -> None:
    seen = [row for entry, row in _all_rows(catalogue) if row.provenance == "seen" and entry not in FACTORS]
    assert len(seen) >= SEEN_AT_LEAST


def test_priors_sum_to_one_and_keep_their_proportions(catalogue: Catalogue) -> None:
    priors = {condition.id: condition.prior for condition in catalogue.conditions.values()}
    assert sum(prior.value for prior in priors.values()) == pytest.approx(1)
    assert priors["gluteal_tendinopathy"].value / priors["tumour"].value == pytest.approx(0.11 / 0.003)
    assert all(0 < prior.low <= prior.value <= prior.high < 1 for prior in priors.values())


def test_dangerous_conditions_say_why_and_are_seen_soon(catalogue: Catalogue) -> None:
    dangerous = {c.id: c.tier for c in catalogue.conditions.values() if c.dangerous}
    assert dangerous == DANGEROUS
    for condition in catalogue.conditions.values():
        assert condition.tier in tiers()
        assert bool(condition.danger_note) == condition.dangerous
        assert condition.dangerous or tiers()[condition.tier].rank >= tiers()["soon"].rank


def test_articles_are_the_five_and_each_is_used(catalogue: Catalogue) -> None:
    assert list(catalogue.articles) == ["A1", "A2", "A3", "A4", "A5"]
    entries = [*catalogue.conditions.values(), *catalogue.factors.values()]
    assert {article for entry in entries for article in entry.articles} == set(catalogue.articles)
    unnamed = [entry.id for entry in entries if not entry.articles]
    assert unnamed == ["deep_infection", "tumour"]


def test_nothing_claims_a_signature_nobody_gave(catalogue: Catalogue) -> None:
    entries = [*catalogue.conditions.values(), *catalogue.factors.values()]
    assert all(entry.signed_by is None and entry.signed_on is None for entry in entries)


def test_codes_have_the_shape_of_their_system(catalogue: Catalogue) -> None:
    shapes = {"icd10cm": r"[A-Z]\d\d\.\d{1,3}[0-9A-Z]?", "snomedct": r"\d{6,18}"}
    for condition in catalogue.conditions.values():
        for system, code in condition.codes.items():
            assert re.fullmatch(shapes[system], code), (condition.id, code)


def test_factors_have_a_contrast_for_every_figure(catalogue: Catalogue) -> None:
    for factor in catalogue.factors.values():
        asked = [(row.column, row.answer) for row in factor.likelihoods]
        assert asked == [(row.column, row.answer) for row in factor.without]
        assert factor.helps


def test_likelihood_finds_one_figure(catalogue: Catalogue) -> None:
    condition = catalogue.conditions["femoroacetabular_impingement"]
    fadir = condition.likelihood("exam__fadir", "1")
    assert fadir is not None
    assert (fadir.value, fadir.source, fadir.provenance) == (0.84, "clohisy2009", "seen")
    assert condition.likelihood("exam__fadir", "0") is None
    assert condition.likelihood("side", "left") is None


def test_the_release_is_read_once() -> None:
    assert load_catalogue() is load_catalogue()


PAIRS = "comorbid_pairs.yaml"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A catalogue of one condition and one factor, quick to read and free to break."""
    for name in (
        "sources.yaml",
        "articles.yaml",
        "conditions/avascular_necrosis.yaml",
        "contributing_factors/cambered_roads.yaml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((KNOWLEDGE / name).read_bytes())
    (tmp_path / PAIRS).write_text("pairs: []\n", "utf-8")
    return tmp_path


AVN = "conditions/avascular_necrosis.yaml"
CAMBER = "contributing_factors/cambered_roads.yaml"

BROKEN = [
    (AVN, r"^id: .*$", "id: a\nid: b", "the key 'id' stands twice"),
    (AVN, r"column: severe_pain,", "column: sever_pain,", r"\[sever_pain=1\]\.column: 'sever_pain' is not known"),
    (AVN, r"column: onset, answer: sudden", "column: onset, answer: slow", r"\[onset=slow\]\.answer"),
    (
        AVN,
        r"(column: night_pain.*?value: )[\d.]+, low: [\d.]+, high: [\d.]+",
        r"\g<1>1.2, low: 1, high: 1.3",
        "night_pain=1",
    ),
    (AVN, r"(column: night_pain.*?low: )[\d.]+", r"\g<1>0.999", r"likelihoods\.\[night_pain=1\]: .*must not decrease"),
    (AVN, r"(column: night_pain.*?value: )[\d.]+", r"\g<1>.nan", r"likelihoods\.\[night_pain=1\]\.value"),
    (AVN, r"(column: night_pain.*?), high: [\d.]+", r"\g<1>", r"likelihoods\.\[night_pain=1\]\.high: Field required"),
    (AVN, r"source: liege_onfh2016", "source: nobody1999", r"\.source: 'nobody1999' is not known"),
    (AVN, r"source: judgement, provenance: judgement\}", "source: judgement, provenance: seen}", "provenance must be"),
    (AVN, r"column: rest_pain,", "column: night_pain,", r"\[night_pain=1\]: stated twice"),
    (
        AVN,
        r"(column: weight_bearing, answer: aid.*?value: )[\d.]+, low: [\d.]+, high: [\d.]+",
        r"\g<1>0.9, low: 0.1, high: 1",
        r"\[weight_bearing\]: the answers sum to",
    ),
    (
        AVN,
        r"column: age_years, answer: p05, value: [\d.]+, low: [\d.]+, high: [\d.]+",
        "column: age_years, answer: p05, value: 99, low: 1, high: 99",
        r"\[age_years\]: p05, p50 and p95 do not rise",
    ),
    (AVN, r"  - \{column: age_years, answer: p95.*\n", "", r"\[age_years\]: p05, p50 and p95 are stated together"),
    (AVN, r"tier: urgent", "tier: quickly", r"tier: 'quickly' is not known"),
    (AVN, r"seek_care: .*\n", "", "seek_care: Field required"),
    (AVN, r"dangerous: true", "dangerous: false", "danger_note says why"),
    (AVN, r"signed_by: null", "signed_by: Dr Example", "signed_by and signed_on"),
    (AVN, r"id: avascular_necrosis", "id: osteonecrosis", "id: 'osteonecrosis' differs"),
    (AVN, r"  A2: ", "  A9: ", "articles: 'A9' is not known"),
    (AVN, r"icd10cm:", "icd9:", r"codes\.icd9"),
    (AVN, r"tier: urgent", "tier: urgent\nurgency: high", "urgency: Extra inputs"),
    (AVN, r"prior: \{value: [\d.]+", "prior: {value: 0", r"prior\.value"),
    (AVN, r"order: 21", "order: [21", "not valid YAML"),
    (CAMBER, r"(without:\n)  - .*\n", r"\g<1>", "without: must hold the same columns"),
    ("sources.yaml", r"^confhd2021: .*$", "confhd2021: 7", "confhd2021"),
    ("articles.yaml", r"  author: .*\n", "", "author: Field required"),
]


@pytest.mark.parametrize(("name", "pattern", "replacement", "message"), BROKEN, ids=[case[3] for case in BROKEN])
def test_a_broken_file_is_refused_by_file_and_field(
    small: Path, name: str, pattern: str, replacement: str, message: str
) -> None:
    text = (small / name).read_text("utf-8")
    broken, changes = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert changes == 1
    (small / name).write_text(broken, "utf-8")
    with pytest.raises(CatalogueError, match=message) as refusal:
        load_catalogue(small)
    assert str(refusal.value).startswith(f"{name}: ")


def test_a_missing_file_is_named(small: Path) -> None:
    (small / "sources.yaml").unlink()
    with pytest.raises(CatalogueError, match=r"sources\.yaml: the file cannot be read"):
        load_catalogue(small)


def test_two_files_cannot_take_one_place(small: Path) -> None:
    text = (small / AVN).read_text("utf-8").replace("id: avascular_necrosis", "id: osteonecrosis")
    (small / "conditions/osteonecrosis.yaml").write_text(text, "utf-8")
    with pytest.raises(CatalogueError, match="order: 21 is taken"):
        load_catalogue(small)


GROUPS = """subgroups:
  - id: early
    name: "Early"
    share: {value: 0.6, low: 0.4, high: 0.8, source: judgement, provenance: judgement}
    likelihoods:
      - {column: night_pain, answer: "1", value: 0.2, low: 0.1, high: 0.3, source: judgement, provenance: judgement}
  - id: late
    name: "Late"
    share: {value: 0.4, low: 0.2, high: 0.6, source: judgement, provenance: judgement}
    likelihoods:
      - {column: night_pain, answer: "1", value: 0.7, low: 0.6, high: 0.8, source: judgement, provenance: judgement}
"""
LIMP_ONLY = "{column: weight_bearing, answer: limp, value: 1, low: 0.9, high: 1, source"
BROKEN_GROUPS = [
    ("share: {value: 0.4", "share: {value: 0.5", r"subgroups: the shares sum to 1\.1, not 1"),
    ("id: late", "id: early", "subgroups: an id stands twice"),
    ('{column: night_pain, answer: "1", value: 0.2, low: 0.1, high: 0.3, source', LIMP_ONLY, "same answers"),
    ("value: 0.7, low: 0.6", "value: 0.7, low: 0.9", r"\[late\]\.likelihoods\.\[night_pain=1\].*not decrease"),
    ("column: night_pain", "column: nightpain", r"\[early\].*'nightpain' is not known"),
    ("source: judgement", "source: nobody1999", "provenance must be"),
    ('name: "Late"', "", "name: Field required"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN_GROUPS, ids=[case[2] for case in BROKEN_GROUPS])
def test_a_broken_subgroup_is_refused(small: Path, old: str, new: str, message: str) -> None:
    text = (small / AVN).read_text("utf-8")
    assert old in GROUPS
    (small / AVN).write_text(text + GROUPS.replace(old, new, 1), "utf-8")
    with pytest.raises(CatalogueError, match=message) as refusal:
        load_catalogue(small)
    assert str(refusal.value).startswith(f"{AVN}: ")


def test_a_subgroup_overrides_only_what_it_states(small: Path) -> None:
    (small / AVN).write_text((small / AVN).read_text("utf-8") + GROUPS, "utf-8")
    condition = load_catalogue(small).conditions["avascular_necrosis"]
    early, late = condition.subgroups
    assert (early.share.value, late.share.value) == (0.6, 0.4)
    night = late.likelihood("night_pain", "1")
    assert night is not None and night.value == 0.7
    assert late.likelihood("rest_pain", "1") is None
    assert condition.likelihood("night_pain", "1") != night


PAIR = "share: 0.2, low: 0.1, high: 0.3, source: judgement, provenance: judgement, note: often"
BROKEN_PAIRS = [
    (f"condition: osteonecrosis, with: other, {PAIR}", r"\[osteonecrosis\]\.condition: 'osteonecrosis' is not known"),
    (f"condition: avascular_necrosis, with: other, {PAIR}", r"with: 'other' is not known"),
    (f"condition: avascular_necrosis, with: avascular_necrosis, {PAIR}", "the condition itself"),
    ("condition: avascular_necrosis, with: other", r"\[avascular_necrosis\]\.share: Field required"),
    (f"condition: avascular_necrosis, also: other, {PAIR}", "with: Field required"),
]


@pytest.mark.parametrize(("pair", "message"), BROKEN_PAIRS, ids=[case[1] for case in BROKEN_PAIRS])
def test_a_broken_pair_is_refused(small: Path, pair: str, message: str) -> None:
    (small / PAIRS).write_text(f"pairs:\n  - {{{pair}}}\n", "utf-8")
    with pytest.raises(CatalogueError, match=message) as refusal:
        load_catalogue(small)
    assert str(refusal.value).startswith(f"{PAIRS}: ")


def test_pairs_of_one_condition_leave_most_people_alone() -> None:
    pair = {"condition": "a", "source": "judgement", "provenance": "judgement", "low": 0.1, "high": 0.5, "note": "-"}
    rows = [ComorbidPairRow.model_validate({**pair, "with": other, "share": 0.31}) for other in "bc"]
    check_pairs(rows[:1], "abc", ())
    with pytest.raises(CatalogueError, match=r"the shares sum to 0\.62"):
        check_pairs(rows, "abc", ())
    with pytest.raises(CatalogueError, match="stands twice"):
        check_pairs([rows[0], rows[0]], "abc", ())


def test_pairs_are_known_conditions_and_carry_a_reason(catalogue: Catalogue) -> None:
    for pair in catalogue.comorbid_pairs:
        assert {pair.condition, pair.also} <= set(IDS) - {"not_in_catalogue"}
        assert pair.note
        assert 0 < pair.share.low <= pair.share.value <= pair.share.high < 1


def test_a_new_condition_is_a_new_file(small: Path) -> None:
    text = (small / AVN).read_text("utf-8").replace("id: avascular_necrosis", "id: osteonecrosis")
    (small / "conditions/osteonecrosis.yaml").write_text(text.replace("order: 21", "order: 1"), "utf-8")
    grown = load_catalogue(small)
    assert list(grown.conditions) == ["osteonecrosis", "avascular_necrosis"]
    assert grown.conditions["osteonecrosis"].prior.value == pytest.approx(0.5)


def test_the_version_follows_every_byte(small: Path) -> None:
    before = load_catalogue(small).version
    assert re.fullmatch(r"[0-9a-f]{12}", before)
    versions = {before}
    for name in (CAMBER, AVN, PAIRS):
        with (small / name).open("a", encoding="utf-8") as file:
            file.write("# one more line\n")
        versions.add(load_catalogue(small).version)
    assert len(versions) == 4


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_a_figure_is_taken_exactly_when_its_range_holds_it(figures: list[float]) -> None:
    low, value, high = figures
    row = {"column": "night_pain", "answer": "1", "value": value, "low": low, "high": high}
    try:
        LikelihoodRow.model_validate({**row, "source": "judgement", "provenance": "judgement"})
        taken = True
    except ValidationError:
        taken = False
    assert taken == (low <= value <= high)
