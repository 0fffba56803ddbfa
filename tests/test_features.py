"""The feature matrix: what a stated answer becomes, and that a blank becomes nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import FeatureBins, facts, feature_bins, feature_matrix, feature_names, features
from schemas.form import answer_columns, questions
from schemas.records import record_schema


def stated(**answers: object) -> set[str]:
    """The names of the features that one record with ``answers`` sets."""
    row = feature_matrix(pl.DataFrame({column: [value] for column, value in answers.items()})).toarray()[0]
    assert set(np.unique(row)) <= {0.0, 1.0}
    return {name for name, value in zip(feature_names(), row, strict=True) if value}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"night_pain": True}, {"night_pain=1"}),
        ({"night_pain": False}, {"night_pain=0"}),
        ({"weight_bearing": "limp"}, {"weight_bearing=limp"}),
        ({"age_years": 16}, {"age_years=16 to under 18"}),
        ({"crp_mg_l": 19.9}, {"crp_mg_l=10 to under 20"}),
        ({"crp_mg_l": 20.0}, {"crp_mg_l=20 to under 50"}),
        ({"crp_mg_l": 900.0}, {"crp_mg_l=100 and over"}),
        # two columns, one fact: counted once, yes if either says yes
        ({"mechanism__fall": True}, {"history__recent_fall=1"}),
        ({"mechanism__fall": True, "history__recent_fall": True}, {"history__recent_fall=1"}),
        ({"mechanism__fall": True, "history__recent_fall": False}, {"history__recent_fall=1"}),
        ({"mechanism__fall": False}, {"history__recent_fall=0"}),
        # a value beside the word for it counts alone
        ({"lab__raised_crp_esr": True}, {"lab__raised_crp_esr=1"}),
        ({"lab__raised_crp_esr": True, "crp_mg_l": 60.0}, {"crp_mg_l=50 to under 100"}),
        # one choice told as the box that says the same
        ({"pain_behaviour": "constant"}, {"behaviour__constant=1"}),
        ({"pain_behaviour": "constant", "behaviour__constant": False}, {"behaviour__constant=1"}),
        # none of these clears the unticked boxes of its own group, unless a tick contradicts it
        ({"systemic__none_of_these": False}, set()),
        ({"systemic__none_of_these": True, "systemic__fever": True}, {"systemic__fever=1"}),
        # never looked at
        ({"record_id": "a", "clinic_id": "b", "completed_by": "self", "patient_key": "c"}, set()),
        ({"side": "left"}, set()),
    ],
)
def test_stated_answers_become_features(answers: dict[str, object], expected: set[str]) -> None:
    assert stated(**answers) == expected


def test_none_of_these_makes_every_box_of_its_group_stated_absent() -> None:
    boxes = {c for c, q in questions().items() if q.box_group == "neuro" and not c.endswith("none_of_these")}
    assert stated(neuro__none_of_these=True) == {f"{box}=0" for box in boxes}


def test_an_empty_record_sets_nothing() -> None:
    blank = pl.from_arrow(record_schema().empty_table())
    assert isinstance(blank, pl.DataFrame)
    assert feature_matrix(blank).shape == (0, len(feature_names()))
    assert feature_matrix(pl.DataFrame({"record_id": ["a", "b"]})).nnz == 0


def test_every_answer_of_the_form_is_a_feature_or_has_a_reason_not_to_be() -> None:
    covered = {f.column for f in features()} | {m for members in facts().values() for m in members}
    rest = set(answer_columns()) - covered - set(feature_bins().left_out) - set(feature_bins().same_as_box)
    assert {column for column in rest if not column.endswith("none_of_these")} == set()
    assert len(set(feature_names())) == len(feature_names())


_BOXES = sorted(c for c, q in questions().items() if q.type == "yesno" and q.column not in feature_bins().left_out)


@settings(max_examples=15, deadline=None)
@given(
    answers=st.dictionaries(st.sampled_from(_BOXES), st.sampled_from([True, False, None]), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_column_order_and_blank_columns_change_nothing(answers: dict[str, bool | None], order: object) -> None:
    columns = list(answers)
    order.shuffle(columns)  # type: ignore[attr-defined]
    schema = {column: pl.Boolean for column in answers}
    frame = pl.DataFrame({column: [value] for column, value in answers.items()}, schema=schema)
    shuffled = frame.select(columns).with_columns(pl.lit(None, dtype=pl.String).alias("weight_bearing"))
    assert (feature_matrix(frame) != feature_matrix(shuffled)).nnz == 0


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        (
            "numbers",
            {"no_such": {"cuts": [1], "source": "judgement", "provenance": "judgement", "note": ""}},
            "no_such",
        ),
        ("left_out", {"no_such": "why"}, "no_such"),
        ("left_out", {}, "neither bins nor a reason"),
        ("same_as_box", {"pain_behaviour": {"constant": "no_such"}}, "no_such"),
        ("numbers", {"pain_now": {"cuts": [3, 3], "source": "x", "provenance": "seen", "note": ""}}, "rising"),
    ],
)
def test_a_bins_file_that_does_not_fit_the_form_is_refused(part: str, change: dict[str, object], words: str) -> None:
    content = feature_bins().model_dump()
    content[part] = {**content[part], **change} if change else {}
    with pytest.raises(ValueError, match=words):
        FeatureBins.model_validate(content)
