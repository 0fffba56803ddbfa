"""Advice over generated records, as the referral table gives it: nothing that harms, protection where it belongs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.advice import NO_SELF_CARE_TIERS
from models.rules import YES, evaluate
from schemas.tiers import tiers
from tests.referral_records import basis, generated, mixed, rules_only, scored

BOOK = basis().advice
BY_ID = {item.id: item for item in BOOK.self_care}
ABOUT = {rule.id: set(rule.condition) for rule in basis().rules.rules}
DANGEROUS = {condition.id for condition in basis().catalogue.conditions.values() if condition.dangerous}
BONE = {"femoral_neck_stress_fracture", "bone_stress_injury"}
INFECTION = {"septic_arthritis", "infectious_bursitis", "deep_infection"}
READ = ["record_id", "tier", "red_flags", "prediction_set", "differential", "contributing_factors"]
READ += ["until_seen", "self_care", "safety_net"]
PROTECTED = {name for entry in BOOK.until_seen for name in entry.when_not_excluded}


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Referrals of generated and of scattered records, by the model and by rules alone."""
    records = pl.concat([generated(1500, 21), mixed(400, 22)])
    return pl.concat([scored(records), scored(mixed(300, 23), rules_only())]).select(READ)


def _open(row: dict[str, object]) -> set[str]:
    """Conditions of a row that are not excluded: in the prediction set, or behind a fired rule."""
    fired = [flag["id"] for flag in row["red_flags"]]  # type: ignore[attr-defined]
    return set(row["prediction_set"]).union(*(ABOUT[rule] for rule in fired))  # type: ignore[call-overload]


def test_no_self_care_harms_what_is_not_excluded(rows: pl.DataFrame) -> None:
    given = rows.filter(pl.col("self_care").list.len() > 0)
    assert given.height > 100
    for row in given.iter_rows(named=True):
        for advice in row["self_care"]:
            assert not BY_ID[advice].harms & _open(row), (advice, row["record_id"])
            assert BY_ID[advice].never_publish is None


def test_impact_is_never_halved_while_a_stress_fracture_is_possible(rows: pl.DataFrame) -> None:
    halved = rows.filter(pl.col("self_care").list.contains("a1_halve_impact"))
    assert halved.height > 0
    for row in halved.iter_rows(named=True):
        assert not BONE & _open(row)
    possible = rows.filter(pl.any_horizontal(pl.col("prediction_set").list.contains(name) for name in sorted(BONE)))
    assert possible.height > 100 and not possible["self_care"].list.contains("a1_halve_impact").any()


def test_self_care_helps_something_likely_and_is_six_items_at_most(rows: pl.DataFrame) -> None:
    assert rows["self_care"].list.len().max() == BOOK.at_most == 6
    for row in rows.filter(pl.col("self_care").list.len() > 0).iter_rows(named=True):
        likely = {one["condition"] for one in row["differential"][:3]} | set(row["contributing_factors"])
        assert all(BY_ID[advice].helps & likely for advice in row["self_care"])
        assert row["tier"] not in NO_SELF_CARE_TIERS


def test_protection_is_given_wherever_a_danger_is_not_excluded(rows: pl.DataFrame) -> None:
    assert DANGEROUS == PROTECTED
    for row in rows.iter_rows(named=True):
        if DANGEROUS & _open(row):
            assert row["until_seen"], row["record_id"]
        urgent = [flag["id"] for flag in row["red_flags"] if flag["tier"] in NO_SELF_CARE_TIERS]
        if any(ABOUT[rule] & (BONE | INFECTION) for rule in urgent):
            assert row["until_seen"], row["record_id"]


def test_a_rule_about_the_femoral_neck_brings_its_own_protection(rows: pl.DataFrame) -> None:
    texts = {entry.id: entry.text for entry in BOOK.until_seen}
    about = [row for row in rows.iter_rows(named=True) if "femoral_neck_stress_fracture" in _open(row)]
    assert len(about) > 50
    for row in about:
        assert {texts["no_weight"], texts["no_tests"], texts["stop_running"]} <= set(row["until_seen"])


def test_the_safety_net_is_never_empty_and_is_of_the_final_tier(rows: pl.DataFrame) -> None:
    assert rows["tier"].n_unique() == len(tiers())
    for row in rows.select("tier", "safety_net").iter_rows(named=True):
        assert tuple(row["safety_net"]) == BOOK.safety_net[row["tier"]]


def test_every_fired_rule_of_two_weeks_or_sooner_stops_running(rows: pl.DataFrame) -> None:
    stop = next(entry.text for entry in BOOK.until_seen if entry.id == "stop_running")
    sooner = rows.filter(pl.col("tier").is_in(NO_SELF_CARE_TIERS))
    assert sooner.height > 100 and sooner["until_seen"].list.contains(stop).all()


def test_a_rule_may_not_fire_unseen_by_advice() -> None:
    """Rules read by ``evaluate`` and the red flags of the row are the same, raising rules among them."""
    records = mixed(100, 24)
    status, table = evaluate(records, basis().rules).status, scored(records)
    fired = np.array([[flag["id"] for flag in flags] for flags in table["red_flags"]], dtype=object)
    for number, ids in enumerate(fired):
        assert set(ids) == {rule for rule in ABOUT if status[rule][number] == YES}
