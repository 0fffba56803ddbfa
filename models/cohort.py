"""Generated, labelled intake records: the only thing the first model learns from.

Belongs here: drawing people, their findings and what a form leaves blank, from the catalogue's figures. Does not
belong here: the figures as arrays (``models.figures``), how forms get filled (``knowledge/generator.yaml``).

No generated record is a patient. Every draw comes from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from models import figures
from models.catalogue import Catalogue
from models.figures import Floats, Table
from models.generator_settings import GeneratorSettings, generator_settings
from schemas.form import NONE_OF_THESE, Question, answer_columns, questions
from schemas.records import record_schema

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_YEAR_SECONDS = 365 * 86400
_MAX_CLINICS = 256


@dataclass(frozen=True, slots=True)
class Cohort:
    """Generated records and what is true of them.

    ``records`` has the columns of ``record_schema``; ``condition`` holds one id a record; ``factors`` is records x
    contributing factors in catalogue order; ``seed`` reproduces all three.
    """

    records: pl.DataFrame
    condition: NDArray[np.str_]
    factors: Bools
    seed: int


def generate(
    catalogue: Catalogue, n: int, seed: int, *, conditions: NDArray[np.str_] | None = None, balanced: bool = False
) -> Cohort:
    """Draw ``n`` labelled records.

    Takes labels from ``conditions`` (n ids) if given; else every condition equally often if ``balanced``; else as
    often as priors drawn from their ranges say. Raises ``ValueError`` for ``conditions`` of another length or with an
    id that the catalogue does not hold.
    """
    if conditions is not None and (len(conditions) != n or set(conditions) - set(catalogue.conditions)):
        raise ValueError("conditions must be n ids of the catalogue")
    rng = np.random.default_rng(seed)
    people = _People(catalogue, n, rng, generator_settings())
    people.draw_labels(conditions, balanced)
    people.draw_answers()
    people.make_consistent()
    people.leave_blanks()
    ids = np.array(figures.condition_ids(catalogue))
    return Cohort(people.records(seed), ids[people.label], people.factors, seed)


@dataclass
class _People:
    """The people of one cohort while they are drawn: ``answers`` holds the truth, ``stated`` what gets written."""

    catalogue: Catalogue
    n: int
    rng: np.random.Generator
    settings: GeneratorSettings
    label: Ints = field(init=False)
    clinic: Ints = field(init=False)
    kind: Ints = field(init=False)
    factors: Bools = field(init=False)
    answers: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    stated: dict[str, Bools] = field(default_factory=dict)

    def draw_labels(self, conditions: NDArray[np.str_] | None, balanced: bool) -> None:
        """Give each person a clinic, a form kind, a condition and contributing factors."""
        ids = figures.condition_ids(self.catalogue)
        self.clinics = int(np.clip(self.n // self.settings.records_per_clinic, 1, _MAX_CLINICS))
        self.clinic = self.rng.integers(0, self.clinics, self.n)
        shares = [kind.share for kind in self.settings.form_kinds.values()]
        self.kind = self.rng.choice(len(shares), self.n, p=shares)
        priors = self._priors_by_clinic()
        if conditions is not None:
            self.label = np.searchsorted(np.array(ids), conditions)
        elif balanced:
            self.label = self.rng.permutation(np.arange(self.n) % len(ids))
        else:
            steps = priors.cumsum(axis=1)[self.clinic]
            self.label = np.minimum((self.rng.random(self.n)[:, None] > steps).sum(axis=1), len(ids) - 1)
        share = np.array([factor.prior.value for factor in self.catalogue.factors.values()])
        self.factor_share = share
        self.factors = self.rng.random((self.n, len(share))) < share

    def _priors_by_clinic(self) -> Floats:
        rows = [self.catalogue.conditions[c].prior for c in figures.condition_ids(self.catalogue)]
        value, low, high = np.array([(row.value, row.low, row.high) for row in rows])[:, :, None].transpose(1, 0, 2)
        drawn = figures.draw("", Table(("1",), value, low, high), self.clinics, self.rng)[:, :, 0]
        return cast(Floats, drawn / drawn.sum(axis=1, keepdims=True))

    def draw_answers(self) -> None:
        """Draw the true answer to every question that the catalogue has figures for, and the rest at random."""
        shared: dict[str, tuple[Floats, float]] = {}
        for group in self.settings.linked.values():
            factor = self.rng.standard_normal(self.n)
            shared |= {column: (factor, lean) for column, lean in group.items()}
        shifts, tables = figures.factor_shifts(self.catalogue), figures.tables(self.catalogue)
        scores: dict[str, Floats] = {}
        for column in tables:
            own = self.rng.standard_normal(self.n)
            if column in shared:
                factor, lean = shared[column]
                own = lean * factor + np.sqrt(1 - lean**2) * own
            scores[column] = own
        for column, table in tables.items():
            # Two columns that carry one fact are drawn together: the same score decides both.
            score = scores.get(questions()[column].same_fact_as, scores[column])
            drawn = figures.draw(column, table, self.clinics, self.rng)[self.clinic, self.label]
            if table.is_number:
                self.answers[column] = self._number(column, score, drawn)
            elif len(table.answers) > 1:
                steps = ndtri(np.clip(drawn.cumsum(axis=1)[:, :-1], 1e-9, 1 - 1e-9))
                self.answers[column] = (score[:, None] > steps).sum(axis=1)
            else:
                share = drawn[:, 0]
                if column in shifts:
                    # Centred, so that the share over people with and without the factor stays the catalogue's.
                    lift = (self.factors - self.factor_share) @ shifts[column]
                    share = expit(figures.log_odds(share) + lift)
                self.answers[column] = score > -ndtri(share)
        self._draw_the_rest()

    def _number(self, column: str, score: Floats, percentiles: Floats) -> Floats:
        shape = self.settings.numbers[column]
        drawn = figures.number_at(score, percentiles, shape)
        question = questions()[column]
        low, high = question.plausible_range or question.allowed_range or (-np.inf, np.inf)
        return np.clip(drawn, low, high).round(shape.decimals)

    def _draw_the_rest(self) -> None:
        """Fill what no figure speaks about, so that records look like records; no condition changes any of it."""
        rng, n, female = self.rng, self.n, self.answers["sex"].astype(bool)
        age = np.clip(self.answers["age_years"].astype(float), *self.settings.age_of_anyone)
        grown = np.clip((age - 2) / 16, 0, 1)
        self.answers["height_cm"] = (80 + grown * np.where(female, 86, 98) + rng.normal(0, 7, n)).round()
        bmi = 15 + 7.5 * grown + np.abs(rng.normal(0, 2.5, n))
        metres = self.answers["height_cm"].astype(float) / 100
        self.answers["weight_kg"] = np.clip(bmi * metres**2, 15, 180).round(1)
        self.answers["years_running"] = np.minimum(rng.gamma(1.5, 5, n), np.maximum(age - 6, 0)).round()
        self.answers["cadence_spm"] = np.clip(rng.normal(168, 9, n), 120, 220).round()
        rise = np.where(self.answers["training__mileage_increase"], rng.uniform(0.15, 1, n), rng.normal(0, 0.07, n))
        before = self.answers["weekly_km"].astype(float) / (1 + np.maximum(rise, -0.5))
        self.answers["weekly_km_4_weeks_ago"] = np.clip(before, 0, 250).round()
        now = self.answers["pain_now"].astype(float)
        self.answers["pain_worst"] = np.clip(now + rng.poisson(2, n), 0, 10)
        self.answers["fms_pain"] = rng.random(n) < 0.4
        side = rng.choice(3, n, p=[0.45, 0.47, 0.08])
        self.answers["side"] = self.answers["exam_side"] = side
        self.answers["worse_side"] = rng.choice(3, n, p=[0.3, 0.3, 0.4])
        self.answers["strength_training"] = rng.choice(3, n, p=[0.4, 0.4, 0.2])
        for column in ("imaging__mri", "imaging__ultrasound"):
            self.answers[column] = rng.choice(5, n, p=[0.85, 0.07, 0.03, 0.03, 0.02])

    def make_consistent(self) -> None:
        """Remove what cannot be: ages and sexes a finding does not occur at, and a part without its whole."""
        ids = figures.condition_ids(self.catalogue)
        low = np.full(len(ids), self.settings.age_of_anyone[0])
        high = np.full(len(ids), self.settings.age_of_anyone[1])
        for condition, limits in self.settings.condition_age.items():
            low[ids.index(condition)], high[ids.index(condition)] = limits
        age = np.clip(self.answers["age_years"].astype(float), low[self.label], high[self.label])
        self.answers["age_years"] = age
        other = self.rng.random(self.n) < self.settings.sex_other
        female = self.answers["sex"].astype(bool)
        self.answers["sex"] = np.where(other, 2, np.where(female, 0, 1))
        for column, (youngest, oldest) in self.settings.only_age.items():
            self.answers[column] = self.answers[column].astype(bool) & (age >= youngest) & (age <= oldest)
        for column, sex in self.settings.only_sex.items():
            self.answers[column] = self.answers[column].astype(bool) & (female == (sex == "female"))
        for part, whole in self.settings.implies.items():
            self.answers[whole] = self.answers[whole].astype(bool) | self.answers[part].astype(bool)

    def leave_blanks(self) -> None:
        """Decide which answers get written down, by the kind of form, the group of the question and the answer."""
        kinds = list(self.settings.form_kinds.values())
        asked = {
            group: self.rng.random(self.n) < np.array([kind.groups[group].asked for kind in kinds])[self.kind]
            for group in kinds[0].groups
        }
        for column, answer in self.answers.items():
            question = questions()[column]
            present = np.array([kind.groups[question.group].present for kind in kinds])[self.kind]
            absent = np.array([kind.groups[question.group].absent for kind in kinds])[self.kind]
            chance = np.where(answer, present, absent) if question.type == "yesno" else present
            if question.ask == "record_only":
                chance = chance * self.settings.record_only
            self.stated[column] = asked[question.group] & (self.rng.random(self.n) < chance)
        self._apart()
        for column in (c for c in answer_columns() if c.endswith(NONE_OF_THESE)):
            self._tick_none(column, asked[questions()[column].group])

    def _apart(self) -> None:
        """What one form does not hold together: questions for the other sex, a value and its word, boxes and choice."""
        female = self.answers["sex"] == 0
        for column, sex in self.settings.only_sex.items():
            self.stated[column] &= female if sex == "female" else ~female
        numbers = self.stated["crp_mg_l"] | self.stated["esr_mm_h"]
        self.stated["lab__raised_crp_esr"] &= ~numbers
        self.stated["lab__raised_wbc"] &= ~self.stated["wbc_10e9_l"]
        self.stated["worse_side"] &= self.stated["side"] & (self.answers["side"] == 2)
        boxes = [c for c in self.stated if c.startswith("behaviour__")]
        any_box = np.any([self.stated[c] for c in boxes], axis=0)
        self.stated["pain_behaviour"] &= ~any_box

    def _tick_none(self, column: str, asked: Bools) -> None:
        group = questions()[column].box_group
        boxes = [c for c in self.answers if questions()[c].box_group == group]
        nothing = ~np.any([self.answers[c] for c in boxes], axis=0)
        often = np.array([kind.none_of_these for kind in self.settings.form_kinds.values()])[self.kind]
        ticked = asked & nothing & (self.rng.random(self.n) < often)
        self.answers[column] = self.stated[column] = ticked
        for box in boxes:
            self.stated[box] &= ~ticked

    def records(self, seed: int) -> pl.DataFrame:
        """The stated answers as records of ``record_schema``."""
        schema = record_schema()
        fixed = self._keys(seed)
        arrays = []
        for name in schema.names:
            if name in fixed:
                arrays.append(fixed[name].cast(schema.field(name).type))
            elif name in self.answers:
                arrays.append(_written(questions()[name], self.answers[name], self.stated[name]))
            else:
                arrays.append(pa.nulls(self.n, schema.field(name).type))
        return cast(pl.DataFrame, pl.from_arrow(pa.Table.from_arrays(arrays, schema=schema)))

    def _keys(self, seed: int) -> dict[str, pa.Array]:
        seconds = self.rng.integers(0, _YEAR_SECONDS, self.n) * 1_000_000 + int(_FIRST_DAY.timestamp() * 1e6)
        times = pa.array(seconds).cast(pa.timestamp("us", tz="UTC"))
        kinds = np.array([kind.completed_by for kind in self.settings.form_kinds.values()], dtype=object)
        filler = kinds[self.kind]
        filler[(filler == "self") & (self.answers["age_years"].astype(float) < 16)] = "parent_or_carer"
        names = [f"g{seed}-{number:07d}" for number in range(self.n)]
        clinics = pa.array([f"generated-{number:02d}" for number in range(self.clinics)])
        return {
            "record_id": pa.array(names),
            "clinic_id": clinics.take(pa.array(self.clinic)),
            "submitted_at": times,
            "received_at": times,
            "completed_by": pa.array(filler),
            "intake_hash": pa.array(names),
            "data_kind": pa.array(["sample"] * self.n),
            "has_notes": pa.array(np.zeros(self.n, bool)),
            "warnings": pa.array([[]] * self.n, pa.list_(pa.string())),
        }


def _written(question: Question, answer: NDArray[np.generic], stated: Bools) -> pa.Array:
    kind = record_schema().field(question.column).type
    blank = ~stated
    if question.type == "choice":
        codes = pa.array(answer.astype(np.int32), mask=blank)
        return pa.DictionaryArray.from_arrays(codes, pa.array(question.choices)).cast(kind)
    if question.type == "yesno":
        return pa.array(answer.astype(bool), mask=blank)
    return pa.array(answer.astype(np.int32 if question.type == "integer" else np.float64), mask=blank)
