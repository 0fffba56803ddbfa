"""Reasons: faithful to the model, told in the record's own words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from models.catalogue import load_catalogue
from models.cohort import generate
from models.decision_costs import decision_costs
from models.differential import probabilities
from models.explanation import REASON, reasons
from models.features import facts, feature_bins
from models.figures import Floats
from models.model_file import LockedModel, default_locked_folder, load_model
from schemas.form import NONE_OF_THESE, questions


@pytest.fixture(scope="module")
def locked() -> LockedModel:
    return load_model(default_locked_folder())


@pytest.fixture(scope="module")
def records() -> pl.DataFrame:
    return generate(load_catalogue(), 24, 31).records


def nothing_held(given: Floats) -> NDArray[np.bool_]:
    return np.zeros(given.shape, dtype=np.bool_)


def blanked(record: pl.DataFrame, column: str) -> pl.DataFrame:
    """The record without the fact that ``column`` states, whichever columns carry it."""
    leading = next((key for key, members in facts().items() if column in members), column)
    carriers = {column, *facts().get(leading, ())}
    carriers |= {choice for choice, same in feature_bins().same_as_box.items() if leading in same.values()}
    for carrier in sorted(carriers):
        # "None of these" states the fact too: say its other boxes singly and blank it.
        none = f"{questions()[carrier].box_group}__{NONE_OF_THESE}"
        if none in questions() and record[none].any():
            others = [c for c, q in questions().items() if q.box_group == questions()[carrier].box_group and c != none]
            record = record.with_columns(pl.col(box).fill_null(False) for box in others)
            carriers.add(none)
    return record.with_columns(pl.lit(None, dtype=record[name].dtype).alias(name) for name in carriers)


def test_blanking_a_finding_moves_the_log_odds_by_its_weight(locked: LockedModel, records: pl.DataFrame) -> None:
    given = probabilities(locked, records)
    told = reasons(locked, records, given, nothing_held(given))
    listed: list[tuple[int, dict[str, Any]]] = []
    without: list[pl.DataFrame] = []
    for number in range(records.height):
        for reason in told[number].to_list():
            twin = questions()[reason["column"]].same_fact_as
            if not twin or questions()[twin].type == "yesno":  # blanking a value would let its word speak instead
                listed.append((number, reason))
                without.append(blanked(records[number], reason["column"]))
    assert len(listed) > 200
    rescored = probabilities(locked, pl.concat(without))
    for (number, reason), after_all in zip(listed, rescored, strict=True):
        position = locked.classes.index(reason["condition"])
        before, after = given[number, position], after_all[position]
        assert reason["direction"] == ("for" if reason["weight"] > 0 else "against")
        assert (before > after) == (reason["direction"] == "for")
        if min(before, 1 - before, after, 1 - after) > 1e-7:  # below, the floor under probabilities shows
            change = np.log(before / (1 - before)) - np.log(after / (1 - after))
            assert change == pytest.approx(reason["weight"], abs=1e-3)


def test_the_likeliest_and_the_dangerous_not_excluded_are_explained(locked: LockedModel, records: pl.DataFrame) -> None:
    given = probabilities(locked, records)
    held = given >= locked.set_thresholds
    told = reasons(locked, records, given, held)
    assert told.dtype == REASON
    names = np.array(locked.classes)
    for number in range(records.height):
        listed = told[number].to_list()
        explained = list(dict.fromkeys(reason["condition"] for reason in listed))
        top = list(names[np.argsort(-given[number], kind="stable")][:3])
        dangerous = {name for name in names[held[number]] if name in decision_costs().conditions}
        if listed:
            assert set(explained) == set(top) | dangerous
            assert explained[:3] == top
        for condition in explained:
            weights = [abs(reason["weight"]) for reason in listed if reason["condition"] == condition]
            assert len(weights) <= 4
            assert weights == sorted(weights, reverse=True)
            columns = [reason["column"] for reason in listed if reason["condition"] == condition]
            assert len(columns) == len(set(columns))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"mechanism__fall": [True]}, ("mechanism__fall", "1")),
        ({"mechanism__fall": [True], "history__recent_fall": [True]}, ("history__recent_fall", "1")),
        ({"mechanism__fall": [True], "history__recent_fall": [False]}, ("mechanism__fall", "1")),
        ({"quality__stabbing": [False]}, ("quality__stabbing", "0")),
        ({"crp_mg_l": [85.0]}, ("crp_mg_l", "85")),
        ({"temperature_c": [38.6]}, ("temperature_c", "38.6")),
        ({"age_years": [13]}, ("age_years", "13")),
        ({"weight_bearing": ["cannot"]}, ("weight_bearing", "cannot")),
        ({"pain_behaviour": ["constant"]}, ("pain_behaviour", "constant")),
    ],
)
def test_a_finding_is_told_as_the_record_states_it(
    locked: LockedModel, answers: dict[str, list[object]], expected: tuple[str, str]
) -> None:
    record = pl.DataFrame(answers)
    given = probabilities(locked, record)
    told = reasons(locked, record, given, nothing_held(given))[0].to_list()
    assert {(reason["column"], reason["answer"]) for reason in told} == {expected}


def test_a_record_that_states_nothing_has_no_reasons(locked: LockedModel) -> None:
    empty = pl.DataFrame({"record_id": ["a", "b"]})
    given = probabilities(locked, empty)
    assert reasons(locked, empty, given, nothing_held(given)).to_list() == [[], []]
    nobody = np.empty((0, len(locked.classes)))
    assert reasons(locked, empty.clear(), nobody, nothing_held(nobody)).to_list() == []


def test_a_batch_is_explained_as_its_records_are_one_by_one(locked: LockedModel, records: pl.DataFrame) -> None:
    given = probabilities(locked, records)
    held = given >= locked.set_thresholds
    together = reasons(locked, records, given, held).to_list()
    for number in (0, 17, 23):
        one = slice(number, number + 1)
        alone = reasons(locked, records[number], given[one], held[one])[0].to_list()
        assert [(r["column"], r["condition"]) for r in alone] == [
            (r["column"], r["condition"]) for r in together[number]
        ]
