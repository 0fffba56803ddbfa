"""The tier that the red-flag rules alone give a record, and what the fired rules are about.

Belongs here: combining rules into a tier (product page, section 5). Does not belong here: what the model and the
floors add (``models.referral``): they may raise a tier, and nothing lowers what a rule gave.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from models.knowledge_files import lists_of
from models.rule_evaluation import CANNOT_TELL, YES, RuleResults
from models.rule_files import Rule, RuleSet
from schemas.tiers import tiers

RAISED_AT_MOST_TO = "urgent"  # standards row 26: one tier, once, last, not above urgent


def rule_tiers(results: RuleResults, ruleset: RuleSet, records: pl.DataFrame) -> pl.DataFrame:
    """The tier that the rules alone give each record. One row a record of ``records``, in the same order.

    ``tier`` String: the most urgent of the fired rules, and of the raise by an emergency rule that cannot tell
    (``same_day`` with two core conjuncts true, ``urgent`` with one; product page, section 5, not yet signed); null if
    there is neither. ``basis`` List(String): ids of the fired rules that have a tier, most urgent first.
    ``cannot_tell_raised`` String: the emergency rule that could not tell, where it made the tier more urgent than the
    fired rules did; else null. ``clock_hours`` Float64: the earliest clock of the tier and of the fired rules.
    ``raised_by`` String: the fired rule that raises one tier (standards row 26), not applied here: the caller applies
    ``raise_one_tier`` once, after everything else.

    Raises ``ValueError`` if the results are not those of ``records``.
    """
    if results.status.height != records.height:
        raise ValueError(f"results of {results.status.height} records for {records.height} records")
    order = list(tiers())
    none = len(order)
    tiered = [rule for rule in ruleset.rules if rule.tier is not None]
    rank = np.array([tiers()[rule.tier].rank for rule in tiered if rule.tier is not None])
    fired = _matrix(results, tiered, YES)
    fired_rank = np.where(fired, rank, none).min(axis=1, initial=none)
    emergencies = [rule for rule in tiered if rule.tier == "emergency"]
    doubt = np.full((records.height, len(emergencies) + 1), none)  # a last column that never doubts
    in_doubt = _matrix(results, emergencies, CANNOT_TELL)
    for place, rule in enumerate(emergencies):
        cores = results.core_true[rule.id].to_numpy()
        raises_to = np.where(cores >= 2, order.index("same_day"), order.index("urgent"))
        doubt[:, place] = np.where(in_doubt[:, place], raises_to, none)
    doubt_rank = doubt.min(axis=1)
    raised: np.ndarray = np.less(doubt_rank, fired_rank)
    clocks = np.array([rule.clock_hours or np.inf for rule in tiered])
    hours = np.array([*(tier.see_by_hours for tier in tiers().values()), np.inf])
    total = np.minimum(fired_rank, doubt_rank)
    clock = np.minimum(hours[total], np.where(fired, clocks, np.inf).min(axis=1, initial=np.inf))
    raising = [rule for rule in ruleset.rules if rule.raises_one_tier]
    return pl.DataFrame(
        {
            "tier": _names(order, total, np.less(total, none)),
            "basis": lists_of(fired, [rule.id for rule in tiered]),
            "cannot_tell_raised": _names([rule.id for rule in emergencies], doubt.argmin(axis=1), raised),
            "clock_hours": pl.Series(clock, dtype=pl.Float64).replace(float("inf"), None),
            "raised_by": _first(results, raising),
        }
    )


def _matrix(results: RuleResults, rules: list[Rule], word: str) -> np.ndarray:
    marks = np.zeros((results.status.height, len(rules)), dtype=bool)
    for place, rule in enumerate(rules):
        marks[:, place] = (results.status[rule.id] == word).to_numpy()
    return marks


def _names(names: list[str], index: np.ndarray, where: np.ndarray) -> pl.Series:
    """``names[index]`` where ``where`` holds, null elsewhere."""
    chosen = pl.Series(np.where(where, index, len(names)), dtype=pl.UInt32)
    return pl.Series([*names, None], dtype=pl.String).gather(chosen)


def _first(results: RuleResults, rules: list[Rule]) -> pl.Series:
    if not rules:
        return pl.repeat(None, results.status.height, dtype=pl.String, eager=True)
    fired = _matrix(results, rules, YES)
    return _names([rule.id for rule in rules], fired.argmax(axis=1), np.logical_or.reduce(fired, axis=1))


def raise_one_tier(tier: pl.Series, raised: pl.Series) -> pl.Series:
    """``tier`` made one step more urgent where ``raised`` (Boolean), never above urgent; nulls stay null.

    To be applied once, after rules, model and floors (standards row 26). A tier at or above urgent stays.
    """
    order = list(tiers())
    limit = order.index(RAISED_AT_MOST_TO)
    next_up = {name: order[max(rank - 1, limit)] for rank, name in enumerate(order) if rank > limit}
    return (
        pl.DataFrame({"tier": tier, "raised": raised})
        .select(pl.when(pl.col("raised")).then(pl.col("tier").replace(next_up)).otherwise("tier").alias(tier.name))
        .to_series()
    )


def rule_conditions(basis: pl.Series, ruleset: RuleSet) -> pl.Series:
    """The conditions that the rules named in ``basis`` (List(String) of ids) are about, as List(String), each once.

    What a fired rule is about is not excluded, whatever a model says; advice is chosen with it.
    """
    about = {rule.id: list(rule.condition) for rule in ruleset.rules}
    every = sorted({condition for conditions in about.values() for condition in conditions})
    place = {condition: index for index, condition in enumerate(every)}
    marks = np.zeros((len(basis), len(every)), dtype=bool)
    flat = pl.DataFrame({"row": np.arange(len(basis)), "id": basis}).explode("id").drop_nulls("id")
    for rule_id, rows in flat.group_by("id"):
        for condition in about[str(rule_id[0])]:
            marks[rows["row"].to_numpy(), place[condition]] = True
    return lists_of(marks, every)
