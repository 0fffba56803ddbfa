"""From a batch of intake records to referral rows: one pure function, every column filled from its own source.

Belongs here: the order of the steps and the shape of the result. Each step is a module of its own. Does not belong
here: anything that depends on a record's history (``warehouse`` adds it when the table is published).
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from models import differential
from models.advice import choose_advice
from models.asking import ask_within_hours, questions_to_ask
from models.basis import Basis
from models.contributing import contributing_factors
from models.expected_change import expected_changes
from models.explanation import REASON, reasons
from models.features import feature_matrix
from models.headline import headline, pain_sites
from models.imaging import first_imaging
from models.knowledge_files import lists_of
from models.priority import RANK, TIER_IDS, Judged, combine, without_model
from models.red_flags import without_red_flags
from models.rule_tiers import RAISED_AT_MOST_TO
from models.rules import RuleResults, evaluate, rule_conditions, rule_tiers
from models.special import is_child, pregnancy_possible, special
from models.wording import in_a_sentence
from schemas.contract import contract_version
from schemas.referral import scored_schema

AS_GIVEN = (
    "clinic_id",
    "record_id",
    "patient_key",
    "data_kind",
    "submitted_at",
    "received_at",
    "age_years",
    "sex",
    "side",
    "worse_side",
    "duration_weeks",
    "weight_bearing",
    "running_now",
    "has_notes",
    "intake_hash",
)
RECORDS_AT_ONCE = 20_000  # bounds memory; each part pays the fixed cost of a call, some 0.3 s
TOLD_TIERS = ("emergency", "same_day")
HELPED = 3  # self-care may help the three likeliest conditions
MICROSECONDS_AN_HOUR = 3_600_000_000
CHILD_DESTINATION = "children's service: "
DOUBT_DESTINATION = "telephone first to complete the answers; if the rule then holds: "
NO_DESTINATION = "a clinician of the clinic decides"


def referral_rows(records: pa.Table, for_rules: pa.Table, basis: Basis, *, scored_at: datetime) -> pa.Table:
    """Score a batch of intake records.

    ``records``: shape of ``schemas.records.record_schema``. ``for_rules``: the same rows in the same order, with
    answers of earlier versions carried forward where they are blank now; rules read these, the model reads ``records``.
    ``scored_at``: UTC. Gives one row a record, in the same order, of the shape ``schemas.referral.scored_schema``.
    """
    starts = range(0, max(records.num_rows, 1), RECORDS_AT_ONCE)
    parts = [
        _rows(records.slice(start, RECORDS_AT_ONCE), for_rules.slice(start, RECORDS_AT_ONCE), basis, scored_at)
        for start in starts
    ]
    return pa.concat_tables(parts)


def _rows(records: pa.Table, for_rules: pa.Table, basis: Basis, scored_at: datetime) -> pa.Table:
    answers, carried = pl.DataFrame(pl.from_arrow(records)), pl.DataFrame(pl.from_arrow(for_rules))
    results = evaluate(carried, basis.rules)
    by_rules = rule_tiers(results, basis.rules, carried)
    matrix = feature_matrix(answers)
    judged = _judge(answers, matrix, basis)
    priority = combine(carried.with_columns(answers["warnings"]), by_rules, judged, basis)
    not_excluded = _not_excluded(judged, _behind(by_rules), basis)
    ranked = _ranked(judged)
    pregnant = carried.select(pregnancy_possible()).to_series()
    child = carried.select(is_child()).to_series()
    factors = contributing_factors(answers, basis.catalogue, matrix)
    advice = choose_advice(
        _likely(ranked, factors),
        not_excluded,
        priority["tier"],
        pregnant,
        carried["age_years"],
        basis.advice,
    )
    within = ask_within_hours(carried, results, basis.rules, judged.too_thin, priority["tier"])
    telling = expected_changes(carried, feature_matrix(carried), judged, priority["tier"], basis)
    telling = telling.filter(~child.gather(telling["row"]))  # the model is not built for children
    where_to = _where_to(priority, child, basis)
    rows = answers.select(
        *AS_GIVEN,
        headline(),
        pain_sites(answers),
        carried.select(special()).to_series(),
        pl.lit(scored_at, pl.Datetime("us", "UTC")).alias("scored_at"),
        (answers["received_at"] + (within * MICROSECONDS_AN_HOUR).cast(pl.Duration("us"))).alias("ask_by"),
        *(priority[name] for name in priority.columns if name in scored_schema().names),
        where_to["destination"],
        first_imaging(where_to["advised"], carried, pregnant),
        _red_flags(by_rules["basis"], priority, basis),
        _rule_status(results, basis),
        questions_to_ask(carried, results, basis.rules, priority["tier"], telling).alias("questions_to_ask"),
        ranked.alias("differential"),
        _held(judged).alias("prediction_set"),
        factors.alias("contributing_factors"),
        _reasons(answers, matrix, judged, basis).alias("reasons"),
        *advice.get_columns(),
        pl.lit(basis.evidence_basis).alias("evidence_basis"),
        pl.lit(basis.model_version).alias("model_version"),
        pl.lit(basis.catalogue_version).alias("catalogue_version"),
        pl.lit(basis.rules.version).alias("rules_version"),
        pl.lit(contract_version()).alias("contract_version"),
    )
    return rows.select(scored_schema().names).to_arrow().cast(scored_schema())


def _judge(answers: pl.DataFrame, matrix: sparse.csr_array, basis: Basis) -> Judged:
    rest = without_red_flags(matrix)
    thin = differential.too_thin(answers, rest)
    if basis.model is None:
        return without_model(thin)
    model = basis.model
    read = differential.readings(model.estimator, matrix)
    dangerous = [place for place, name in enumerate(model.classes) if name in basis.costs.conditions]
    danger, plain = read.cautious[:, dangerous], read.without_flags.argmax(axis=1)
    held = differential.prediction_sets(model.set_thresholds, read)
    review_from = np.array([basis.costs.conditions[model.classes[place]].review_from for place in dangerous])
    suspected = held[:, dangerous] | (danger >= review_from) | (plain[:, None] == dangerous)
    return Judged(
        classes=model.classes,
        probabilities=read.given,
        held=held,
        dangerous=tuple(dangerous),
        danger=danger,
        suspected=suspected,
        plain=plain,
        too_thin=thin,
        unlike=differential.unlike_training(model, answers, rest),
    )


def _likely(ranked: pl.Series, factors: pl.Series) -> pl.Series:
    """What self-care may help: the likeliest conditions and the contributing factors."""
    conditions = pl.col("ranked").list.head(HELPED).list.eval(pl.element().struct.field("condition"))
    likely = pl.DataFrame({"ranked": ranked, "factors": factors}).select(conditions.list.concat("factors"))
    return likely.to_series()


def _ranked(judged: Judged) -> pl.Series:
    """List of (condition, probability), most probable first; empty without a model."""
    n, classes = judged.probabilities.shape
    order = np.argsort(-judged.probabilities, axis=1, kind="stable")
    flat = pl.DataFrame(
        {
            "condition": pl.Series(judged.classes, dtype=pl.String).gather(pl.Series(order.ravel(), dtype=pl.UInt32)),
            "probability": np.take_along_axis(judged.probabilities, order, axis=1).ravel(),
        },
        schema={"condition": pl.String, "probability": pl.Float64},
    ).to_struct("differential")
    return _lists(flat, np.repeat(np.arange(n, dtype=np.uint32), classes), n)


def _held(judged: Judged) -> pl.Series:
    """List of the conditions that cannot be excluded, in the catalogue's order."""
    return lists_of(judged.held, judged.classes)


def _behind(by_rules: pl.DataFrame) -> pl.Series:
    """The rules behind a tier: those that fired, the one that raised it and the one that could not tell."""
    others = pl.concat_list("raised_by", "cannot_tell_raised").list.drop_nulls()
    return by_rules.select(pl.col("basis").list.concat(others)).to_series()


def _not_excluded(judged: Judged, fired: pl.Series, basis: Basis) -> pl.Series:
    """Conditions in the prediction set, suspected, or named by a fired rule; every dangerous one without a model."""
    by_rule = rule_conditions(fired, basis.rules)
    mask = judged.held.copy()
    mask[:, list(judged.dangerous)] |= judged.suspected
    held = lists_of(mask, judged.classes)
    if not judged.classes:
        dangerous = [condition.id for condition in basis.catalogue.conditions.values() if condition.dangerous]
        held = pl.Series([dangerous] * len(fired), dtype=pl.List(pl.String))
    return pl.DataFrame({"a": held, "b": by_rule}).select(pl.col("a").list.set_union("b")).to_series()


def _where_to(priority: pl.DataFrame, child: pl.Series, basis: Basis) -> pl.DataFrame:
    """Destination and advised imaging: of the rule that decides the tier, else of the leading condition.

    An emergency rule that cannot tell sends nobody to an emergency department before somebody has asked. The rule that
    raised a tier adds its own destination.
    """
    rules, conditions = basis.rules.rules, basis.catalogue.conditions.values()

    def words(column: str, of: dict[str, str]) -> pl.Expr:
        plain = {key: in_a_sentence(text) for key, text in of.items()}
        return pl.col(column).replace_strict(plain, default=None, return_dtype=pl.String)

    destinations = {rule.id: rule.destination for rule in rules}
    to_rule = words("top_rule", destinations)
    to_rule = pl.when("in_doubt").then(pl.lit(DOUBT_DESTINATION) + to_rule).otherwise(to_rule)
    to_condition = words("leading", {condition.id: condition.destination for condition in conditions})
    by_rule = words("top_rule", {rule.id: rule.first_imaging for rule in rules})
    by_condition = words("leading", {condition.id: condition.first_imaging for condition in conditions})
    sure = pl.col("decides") & ~pl.col("in_doubt")
    frame = priority.select(
        "tier",
        pl.when("decides").then(to_rule).otherwise(pl.coalesce(to_condition, to_rule)).alias("to"),
        words("raised_by", destinations).alias("added"),
        pl.when(sure).then(by_rule).otherwise(pl.coalesce(by_condition, by_rule)).alias("advised"),
        child.alias("child"),
    )
    elsewhere = ~pl.col("to").str.to_lowercase().str.contains("paediatric|child")
    to = pl.when(pl.col("child") & elsewhere).then(pl.lit(CHILD_DESTINATION) + pl.col("to")).otherwise("to")
    added = pl.when(~pl.col("tier").is_in(TOLD_TIERS)).then(pl.lit("; ") + pl.col("added"))
    return frame.select((to.fill_null(NO_DESTINATION) + added.fill_null("")).alias("destination"), "advised")


def _red_flags(fired: pl.Series, priority: pl.DataFrame, basis: Basis) -> pl.Series:
    """List of (id, text, tier, source) of the fired rules, most urgent first.

    A rule that raises one tier comes last, with the tier it may raise to or the record's own where that is less urgent.
    """
    told = pl.DataFrame(
        [(rule.id, rule.text, rule.tier, rule.source) for rule in basis.rules.rules],
        schema={"id": pl.String, "text": pl.String, "tier": pl.String, "source": pl.String},
        orient="row",
    )
    frame = pl.DataFrame({"fired": fired}).hstack(priority.select("tier", "raised_by"))
    own = pl.col("tier").replace_strict(RANK, return_dtype=pl.Int64)
    flat = (
        frame.select(
            own.clip(RANK[RAISED_AT_MOST_TO]).alias("raised_to"),
            pl.col("fired").list.concat(pl.concat_list("raised_by").list.drop_nulls()).alias("id"),
        )
        .with_row_index("row")
        .explode("id")
        .drop_nulls("id")
        .join(told, on="id", how="left", maintain_order="left")
        .with_columns(pl.col("tier").fill_null(pl.col("raised_to").replace_strict(dict(enumerate(TIER_IDS)))))
    )
    flags = flat.select(pl.struct("id", "text", "tier", "source").alias("red_flags")).to_series()
    return _lists(flags, flat["row"].to_numpy(), len(fired))


def _lists(values: pl.Series, row: NDArray[np.uint32], height: int) -> pl.Series:
    """``values`` (in rising order of ``row``) as one list a row, empty where a row has none."""
    starts = np.searchsorted(row, np.arange(height + 1)).astype(np.int64)
    lists = pa.LargeListArray.from_arrays(pa.array(starts), values.to_arrow())
    return pl.Series(values.name, lists, dtype=pl.List(values.dtype))


def _rule_status(results: RuleResults, basis: Basis) -> pl.Series:
    """List of (id, result, missing) of every emergency and same-day rule."""
    told = [rule.id for rule in basis.rules.rules if rule.tier in TOLD_TIERS]
    n, rules = results.status.height, np.arange(len(told), dtype=np.uint32)
    # The results stand rule after rule and are told record after record.
    by_record = np.arange(n * len(told), dtype=np.uint32).reshape(len(told), n).T.ravel()
    place = np.arange(n) * len(told) + rules[:, None]
    missing = pl.concat([results.missing[rule] for rule in told]).to_arrow()
    counts = missing.value_lengths().to_numpy().reshape(len(told), n)
    columns = missing.flatten().take(pa.array(np.argsort(np.repeat(place.ravel(), counts.ravel()), kind="stable")))
    starts = np.concatenate([[0], counts.T.ravel().cumsum()]).astype(np.int64)
    status = pa.StructArray.from_arrays(
        [
            pl.Series(told, dtype=pl.String).gather(np.tile(rules, n)).to_arrow(),
            pl.concat([results.status[rule] for rule in told]).gather(by_record).to_arrow(),
            pa.LargeListArray.from_arrays(pa.array(starts), columns),
        ],
        names=["id", "result", "missing"],
    )
    return _lists(pl.Series("rule_status", status), np.repeat(np.arange(n, dtype=np.uint32), len(told)), n)


def _reasons(answers: pl.DataFrame, matrix: sparse.csr_array, judged: Judged, basis: Basis) -> pl.Series:
    if basis.model is None:
        return pl.Series("reasons", [[]] * answers.height, dtype=REASON)
    return reasons(basis.model, answers, judged.probabilities, judged.held, matrix=matrix)


def possible_tiers(answers: pa.Table, basis: Basis) -> pa.Table:
    """What refused records may still say, by red-flag rules over the cells that can be read.

    ``answers``: batch_id, record_number and the readable answers. Gives batch_id, record_number, possible_tier (null
    where no rule fires), possible_red_flags and rules_version.
    """
    frame = pl.DataFrame(pl.from_arrow(answers))
    results = evaluate(frame, basis.rules)
    by_rules = rule_tiers(results, basis.rules, frame)
    return frame.select(
        "batch_id",
        "record_number",
        by_rules["tier"].alias("possible_tier"),
        by_rules["basis"].alias("possible_red_flags"),
        pl.lit(basis.rules.version).alias("rules_version"),
    ).to_arrow()
