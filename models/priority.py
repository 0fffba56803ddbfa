"""How rules, model and floors become one tier, one clock and one score.

Belongs here: the combination, in one place. The highest fired rule wins; the model may raise a tier, up to same_day,
worded "consider"; emergency comes only from a rule; floors keep a record that a person must look at from waiting;
nothing lowers a rule. Does not belong here: the rules (``models.rules``), the probabilities (``models.differential``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.basis import Basis
from models.rules import raise_one_tier
from models.special import is_child, is_young_person
from models.wording import in_a_sentence, raise_in_a_sentence, rule_in_doubt
from schemas.problems import problems
from schemas.tiers import tiers

Ranks = NDArray[np.int64]
TIER_IDS = list(tiers())
NONE = len(TIER_IDS)
BASIS_OF = {"uplift": "rule", "raised": "model", "default": "model", "age": "floor"}
OTHER = "not_in_catalogue"
RANK = {tier: rank for rank, tier in enumerate(TIER_IDS)}
REVIEW_FLOOR, YOUNG_FLOOR, CHILD_FLOOR = "soon", "routine", "urgent"  # product page, section 5 (to be signed)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the model says of each record; all empty (zero classes) where rules decide alone.

    ``probabilities`` and ``held`` (in the prediction set) are n x classes. ``danger`` has one column for each of
    ``dangerous`` (places of the dangerous classes): their probability with red flags read so that none reassures.
    ``suspected`` says which of these cannot be excluded: in the prediction set, at or above the threshold for review,
    or likeliest by the answers that are no red flags. ``plain`` is the place of the likeliest class by the answers
    that are no red flags (``models.red_flags``).
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    held: NDArray[np.bool_]
    dangerous: tuple[int, ...]
    danger: NDArray[np.float64]
    suspected: NDArray[np.bool_]
    plain: Ranks
    too_thin: NDArray[np.bool_]
    unlike: NDArray[np.bool_]


def without_model(too_thin: NDArray[np.bool_]) -> Judged:
    """What is judged where no model is in force: nothing but which records are too thin."""
    n = too_thin.size
    nothing, nobody = np.zeros((n, 0)), np.zeros(n, dtype=np.int64)
    return Judged(
        (),
        nothing,
        nothing.astype(np.bool_),
        (),
        nothing,
        nothing.astype(np.bool_),
        nobody,
        too_thin,
        nobody.astype(np.bool_),
    )


def combine(records: pl.DataFrame, by_rules: pl.DataFrame, judged: Judged, basis: Basis) -> pl.DataFrame:
    """Tier of each record with what it rests on.

    ``by_rules`` is ``models.rules.rule_tiers``. Gives, one row a record in the same order: tier, tier_basis (rule,
    model, floor), tier_reason, clock_hours, priority_score, needs_review, review_reason, and for the destination:
    top_rule (the most urgent fired rule or the rule that could not tell, else null), decides (the tier rests on that
    rule), in_doubt (that rule could not tell), raised_by (the rule that raised one tier, else null), leading (the
    condition that raised the tier, else the likeliest, else null).
    """
    rules = by_rules["tier"].replace_strict(RANK, default=NONE, return_dtype=pl.Int64).to_numpy()
    child = records.select(is_child()).to_series().to_numpy()
    raised, raising = _model_raise(judged, basis, child)
    default = _default(judged, basis, child)
    review = _review(records, judged, basis, child)
    needs_review = review.list.len().to_numpy() > 0
    floor = _floor(records, needs_review, child, has_model=bool(judged.classes))
    rank = np.minimum.reduce([rules, raised, default, floor])
    before = _names(rank)
    final = raise_one_tier(before, by_rules["raised_by"].is_not_null())
    final_rank = final.replace_strict(RANK, return_dtype=pl.Int64).to_numpy()
    source = np.select(
        [final_rank < rank, rules == rank, raised == rank, default == rank],
        ["uplift", "rule", "raised", "default"],
        np.where(needs_review, "floor", "age"),
    )
    top_rule = by_rules["cannot_tell_raised"].fill_null(by_rules["basis"].list.first())
    likeliest = np.where(child, len(judged.classes), judged.plain)
    leading = pl.Series(np.where(raised == rank, raising, likeliest), dtype=pl.UInt32)
    names = pl.Series([*judged.classes, None], dtype=pl.String)
    told = pl.DataFrame(
        {
            "source": source,
            "before": before,
            "top_rule": top_rule,
            "in_doubt": by_rules["cannot_tell_raised"].is_not_null(),
            "raised_by": by_rules["raised_by"],
            "any_fired": by_rules["basis"].list.len() > 0,
            "leading": names.gather(leading),
        }
    )
    clocks = np.array([tier.see_by_hours for tier in tiers().values()], dtype=np.float64)
    usual = clocks[final_rank]
    hours = np.minimum(usual, by_rules["clock_hours"].fill_null(np.inf).to_numpy())
    return pl.DataFrame(
        {
            "tier": final,
            "tier_basis": pl.Series(source).replace(BASIS_OF),
            "tier_reason": _reason(told, basis),
            "clock_hours": hours,
            "priority_score": _score(final_rank, hours / np.maximum(usual, 1), judged, basis, by_rules, child),
            "needs_review": needs_review,
            "review_reason": review.list.join("; ").replace("", None),
            "decides": rules == rank,
        }
    ).hstack(told.select("top_rule", "in_doubt", "raised_by", "leading"))


def _names(rank: Ranks) -> pl.Series:
    return pl.Series([*TIER_IDS, None], dtype=pl.String).gather(pl.Series(rank, dtype=pl.UInt32))


def _model_raise(judged: Judged, basis: Basis, child: NDArray[np.bool_]) -> tuple[Ranks, Ranks]:
    """Rank that the model raises to (NONE where it does not), and the class that does so; never under 16."""
    rank = np.full(child.size, NONE)
    raising = np.full(child.size, len(judged.classes))
    furthest = np.zeros(child.size)  # within a tier the danger that lies furthest above its threshold is named
    for column, place in enumerate(judged.dangerous):
        cost = basis.costs.conditions[judged.classes[place]]
        times, tier = judged.danger[:, column] / cost.raise_from, RANK[cost.raises_to]
        hit = (times >= 1) & ~child & ((tier < rank) | ((tier == rank) & (times > furthest)))
        rank[hit], raising[hit], furthest[hit] = tier, place, times[hit]
    return rank, raising


def _default(judged: Judged, basis: Basis, child: NDArray[np.bool_]) -> Ranks:
    """Default tier of the condition that the answers apart from red flags make likeliest.

    A dangerous condition's default is left to the thresholds above, so that emergency comes only from a rule.
    """
    if not judged.classes:
        return np.full(child.size, NONE)
    by_class = np.array([RANK[basis.catalogue.conditions[name].tier] for name in judged.classes])
    by_class[list(judged.dangerous)] = NONE
    return np.where(child, NONE, by_class[judged.plain])


def _floor(
    records: pl.DataFrame, needs_review: NDArray[np.bool_], child: NDArray[np.bool_], *, has_model: bool
) -> Ranks:
    """The least urgent rank that a record may have; a blank age counts as one of 16 or 17."""
    no_age = records["age_years"].is_null().to_numpy()
    young = records.select(is_young_person()).to_series().to_numpy()
    floor = np.full(child.size, RANK["self_care"] if has_model else RANK[REVIEW_FLOOR])
    for where, tier in ((young | no_age, YOUNG_FLOOR), (needs_review, REVIEW_FLOOR), (child, CHILD_FLOOR)):
        floor = np.where(where, np.minimum(floor, RANK[tier]), floor)
    return floor


def _review(records: pl.DataFrame, judged: Judged, basis: Basis, child: NDArray[np.bool_]) -> pl.Series:
    """List(String) of the reasons why a person must look, empty where there is none."""
    marks: list[tuple[str, NDArray[np.bool_]]] = [
        ("under 16: the model is not built for children and rules decide", child),
        ("no model is in force: rules only", np.full(child.size, not judged.classes)),
        ("too few answers to judge", judged.too_thin),
        ("unlike the records that the model learnt from", judged.unlike & ~judged.too_thin),
    ]
    danger: list[tuple[str, NDArray[np.bool_]]] = []
    for column, place in enumerate(judged.dangerous):
        name = basis.catalogue.conditions[judged.classes[place]].name
        danger.append((in_a_sentence(name), ~child & judged.suspected[:, column]))
    to_check = {code: problem.sentence for code, problem in problems().items()}
    warned = pl.col("warnings").list.unique(maintain_order=True).list.eval(pl.element().replace(to_check))
    parts = [
        *(pl.when(pl.Series(mark)).then(pl.lit(text)) for text, mark in marks),
        _listed("answers to check: ", warned.list.join("; ")),
        _listed("cannot exclude ", _joined(danger, " or ")),
    ]
    return records.select(pl.concat_list(parts).list.drop_nulls()).to_series()


def _joined(texts: list[tuple[str, NDArray[np.bool_]]], word: str) -> pl.Expr:
    """The texts whose mark is true, joined by ``word``; blank where there is none."""
    return pl.concat_str(
        [pl.lit(""), *(pl.when(pl.Series(mark)).then(pl.lit(word + text)) for text, mark in texts)], ignore_nulls=True
    ).str.strip_prefix(word)


def _listed(opening: str, texts: pl.Expr) -> pl.Expr:
    return pl.when(texts != "").then(pl.lit(opening) + texts)


def _reason(told: pl.DataFrame, basis: Basis) -> pl.Series:
    """One sentence on what the tier rests on."""
    rules = {rule.id: rule.text for rule in basis.rules.rules}
    names = {condition.id: in_a_sentence(condition.name) for condition in basis.catalogue.conditions.values()}
    names[OTHER] = "another cause, not in the catalogue"

    def words(column: str, of: dict[str, str]) -> pl.Expr:
        return pl.col(column).replace_strict(of, default=None, return_dtype=pl.String)

    source, name = pl.col("source"), words("leading", names)
    uplift = words("raised_by", {rule: raise_in_a_sentence(text) for rule, text in rules.items()})
    nothing = pl.when("any_fired").then(pl.lit("No fired rule asks for more")).otherwise(pl.lit("No red flag fired"))
    return told.select(
        pl.when(source == "uplift")
        .then(pl.format("Raised one tier from {}: {}.", pl.col("before").str.replace("_", "-"), uplift))
        .when((source == "rule") & pl.col("in_doubt"))
        .then(words("top_rule", {rule: rule_in_doubt(text) for rule, text in rules.items()}))
        .when(source == "rule")
        .then(words("top_rule", {rule: f"{text.rstrip('.')}." for rule, text in rules.items()}))
        .when(source == "raised")
        .then(pl.format("Consider {}: by weights from published figures it is likely enough not to wait.", name))
        .when(source == "default")
        .then(pl.format("{}; most likely {}.", nothing, name))
        .when(source == "age")
        .then(pl.format("{}, but nobody is left to self-care whose age is not known.", nothing))
        .otherwise(pl.format("{}, but a person has to look (see the review reason).", nothing))
    ).to_series()


def _score(
    rank: Ranks,
    clock_share: NDArray[np.float64],
    judged: Judged,
    basis: Basis,
    by_rules: pl.DataFrame,
    child: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """0-100: the tier sets the band; danger, fired rules and an early clock the place in it, never beyond it.

    ``clock_share``: hours of the record's clock as a share of its tier's.
    """
    start = np.array([tier.score_from for tier in tiers().values()])
    width = np.diff(np.append(start[::-1], 100.0))[::-1]
    danger = np.where(child, 0.0, np.clip(judged.danger.sum(axis=1), 0.0, 1.0))
    early = np.where(rank == RANK["emergency"], 1.0, np.clip(clock_share, 0.0, 1.0))
    within = 1 - (1 - danger) * 0.9 ** by_rules["basis"].list.len().to_numpy() * early
    return np.round(start[rank] + (width[rank] - 0.01) * within, 4)
