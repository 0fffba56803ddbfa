"""Generated people: their condition, the answers that are true of them, their contributing factors.

Belongs here: drawing the truth from the catalogue's figures. Does not belong here: the figures as arrays
(``models.figures``), what a form leaves blank (``models.form_filling``).

No generated person is a patient. Every draw comes from one random generator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from models import figures
from models.asked_of_whom import asked_of_whom
from models.catalogue import Catalogue
from models.feature_shares import leans
from models.features import facts, feature_bins
from models.figures import Floats, Table
from models.form_filling import Answers
from models.generator_settings import GeneratorSettings, generator_settings
from models.worlds import World
from schemas.form import questions

Ints = NDArray[np.int64]

_MAX_CLINICS = 1000
_MOST_LEAN = 0.95


@dataclass
class People:
    """The people of one cohort while they are drawn.

    ``label`` and ``profile``: places in ``figures.condition_ids`` and ``figures.profiles``; ``clinic`` a number;
    ``kind`` a place in ``form_kinds``; ``answers`` the truth by column: booleans, places of choices, or numbers.
    """

    catalogue: Catalogue
    n: int
    rng: np.random.Generator
    world: World
    label: Ints = field(init=False)
    profile: Ints = field(init=False)
    clinic: Ints = field(init=False)
    kind: Ints = field(init=False)
    clinics: int = field(init=False)
    answers: Answers = field(default_factory=dict)

    @property
    def settings(self) -> GeneratorSettings:
        """The generator's settings."""
        return generator_settings()

    def draw_labels(self, conditions: NDArray[np.str_] | None, balanced: bool) -> None:
        """Give each person a clinic, a form kind and a condition."""
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
        self.profile = self._draw_profiles()

    def _draw_profiles(self) -> Ints:
        """How each person's condition shows: as a whole, as a subgroup, or with a second condition."""
        of_condition = figures.profile_conditions(self.catalogue)
        share = np.array([profile.share for profile in figures.profiles(self.catalogue)])
        upto = share.cumsum() - share
        start = upto[np.searchsorted(of_condition, np.arange(of_condition.max() + 1))]
        point = start[self.label] + self.rng.random(self.n) * (1 - 1e-9)
        return np.asarray(np.searchsorted(upto, point, side="right") - 1, dtype=np.int64)

    def _priors_by_clinic(self) -> Floats:
        rows = [self.catalogue.conditions[c].prior for c in figures.condition_ids(self.catalogue)]
        value, low, high = np.array([(row.value, row.low, row.high) for row in rows])[:, :, None].transpose(1, 0, 2)
        drawn = figures.draw("", Table(("1",), value, low, high), self.clinics, self.rng, self.world.priors)[:, :, 0]
        return cast(Floats, drawn / drawn.sum(axis=1, keepdims=True))

    def draw_answers(self) -> None:
        """Draw the true answer to every question that the catalogue has figures for, and the rest at random."""
        shared = {name: self.rng.standard_normal(self.n) for name in self.settings.linked}
        tables, lean_of = figures.tables(self.catalogue), leans()
        leading = {member: fact for fact, members in facts().items() for member in members}
        scores: dict[str, Floats] = {}
        for column in tables:
            scores[column] = self.rng.standard_normal(self.n)
            if column in lean_of:
                group, lean = lean_of[column]
                lean = float(np.clip(lean * self.world.lean, -_MOST_LEAN, _MOST_LEAN))
                scores[column] = lean * shared[group] + np.sqrt(1 - lean**2) * scores[column]
        for column in sorted(tables, key=lambda column: leading.get(column, column) != column):
            if column in feature_bins().same_as_box:
                continue  # the boxes hold the fact
            if (fact := leading.get(column, column)) != column and column not in self.settings.implies:
                self.answers[column] = self.answers[fact]  # one fact in two columns
                continue
            table = tables[column]
            # A number and the box that puts it in words are drawn together.
            score = scores.get(questions()[column].same_fact_as, scores[column])
            by_clinic = figures.draw(column, table, self.clinics, self.rng, self.world.figures)
            drawn = by_clinic[self.clinic, self._shown(column)]
            if table.is_number:
                self.answers[column] = self._number(column, score, drawn)
            elif len(table.answers) > 1:
                steps = ndtri(np.clip(drawn.cumsum(axis=1)[:, :-1], 1e-9, 1 - 1e-9))
                self.answers[column] = (score[:, None] > steps).sum(axis=1)
            else:
                self.answers[column] = score > -ndtri(drawn[:, 0])
        self._draw_the_rest()

    def _shown(self, column: str) -> Ints:
        """The profile that decides each person's answer: their own, or for a stray answer the background's."""
        if column in figures.ABOUT_THE_PERSON:
            return self.profile
        stray = self.rng.random(self.n) < self.settings.stray_answers
        return np.where(stray, figures.background_profile(self.catalogue), self.profile)

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
        low, high = figures.age_limits(self.catalogue)
        age = np.clip(self.answers["age_years"].astype(float), low[self.profile], high[self.profile])
        self.answers["age_years"] = age
        other = self.rng.random(self.n) < self.settings.sex_other
        female = self.answers["sex"].astype(bool)
        self.answers["sex"] = np.where(other, 2, np.where(female, 0, 1))
        for column, (youngest, oldest) in asked_of_whom().only_age.items():
            self.answers[column] = self.answers[column].astype(bool) & (age >= youngest) & (age <= oldest)
        for column, sex in asked_of_whom().only_sex.items():
            self.answers[column] = self.answers[column].astype(bool) & (female == (sex == "female"))
        for part, whole in self.settings.implies.items():
            self.answers[whole] = self.answers[whole].astype(bool) | self.answers[part].astype(bool)
