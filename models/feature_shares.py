"""How often each profile of a condition gives each answer, with and without findings that come together.

Belongs here: turning the catalogue's figures into the share of every feature. Does not belong here: reading figures
(``models.figures``), making probabilities of conditions from shares (``models.posterior``, ``models.naive_bayes``).

A finding of a linked group (``generator.yaml``) leans on a standard normal score that the group shares, the strength of
the process behind it: ``z = lean * score + sqrt(1 - lean^2) * own``, the same Gaussian copula by which records are
generated. Given the score, findings of the group are independent, so a share is wanted for every score.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy.special import ndtr, ndtri

from models import figures
from models.catalogue import Catalogue
from models.features import NO, YES, Feature, features
from models.figures import Floats, Place, Table
from models.generator_settings import generator_settings
from models.reporting import usual_log_ratios
from schemas.form import questions

_LEAST = 1e-4  # no answer is impossible in any condition
_DRAWS, _SEED = 128, 20_270
_NO_SCORE = np.zeros(1)


def leans() -> dict[str, tuple[str, float]]:
    """For every linked column its group and its lean on the group's score, -1 to 1."""
    groups = generator_settings().linked.items()
    found = {column: (group, lean) for group, members in groups for column, lean in members.items()}
    twins = {c: q.same_fact_as for c, q in questions().items() if q.same_fact_as in generator_settings().numbers}
    return found | {column: found[number] for column, number in twins.items() if number in found}


def answer_shares(
    catalogue: Catalogue, scores: Floats | None = None, *, drawn: bool = True, stated: bool = False
) -> dict[Feature, Floats]:
    """Share of each feature that the catalogue has figures for, profiles x scores.

    ``scores``: values of the group's score for linked columns; None leaves links out, which gives one value a
    profile. ``drawn``: averaged over figures drawn from their ranges, as simulated clinics draw them (in even steps,
    so nearly without noise); else from the central figures. ``stated``: shares among stated answers
    (``models.reporting``), for estimators that look at nothing else; else shares once asked. Stray answers are
    allowed for in both. The answers of one question sum to 1 at every score.
    """
    found: dict[Feature, Floats] = {}
    tables, lean_of, rng = figures.tables(catalogue), leans(), np.random.default_rng(_SEED)
    stray, background = generator_settings().stray_answers, figures.background_profile(catalogue)
    by_column: dict[str, list[Feature]] = {}
    for feature in features():
        by_column.setdefault(feature.column, []).append(feature)
    for column, of_column in by_column.items():
        if column not in tables:
            continue
        table = tables[column]
        if drawn:
            shown = figures.draw(column, table, _DRAWS, rng, Place.EVENLY)
        else:
            shown = figures.central(column, table)[None]
        lean = lean_of[column][1] if scores is not None and column in lean_of else 0.0
        at = scores if scores is not None and column in lean_of else _NO_SCORE
        for feature, (low, high) in zip(of_column, _limits(catalogue, column, table, shown, of_column), strict=True):
            share = _between(low, high, lean, at)
            if column not in figures.ABOUT_THE_PERSON:
                share = (1 - stray) * share + stray * share[background]
            if stated and feature.answer in (YES, NO):
                share = _among_stated(share, feature)
            found[feature] = np.maximum(share, _LEAST)
    return found


def _among_stated(share: Floats, feature: Feature) -> Floats:
    times = float(np.exp(usual_log_ratios([feature.column])[0]))
    times = times if feature.answer == YES else 1 / times
    return share * times / (share * times + 1 - share)


def _limits(
    catalogue: Catalogue, column: str, table: Table, shown: Floats, of_column: list[Feature]
) -> list[tuple[Floats, Floats]]:
    """Between which normal scores a person gives each answer, draws x profiles each."""
    if table.is_number:
        # People write rounded numbers: 15.6 years are written as 16.
        half = 0.5 * 10.0 ** -generator_settings().numbers[column].decimals
        edges = [figures.normal_score(catalogue, column, x - half, shown) for f in of_column for x in (f.low, f.high)]
        return list(zip(edges[::2], edges[1::2], strict=True))
    least, most = np.full(shown.shape[:2], -np.inf), np.full(shown.shape[:2], np.inf)
    if column == "sex":
        step = -ndtri(shown[:, :, 0])
        return [{"female": (step, most), "male": (least, step)}.get(f.answer, (least, most)) for f in of_column]
    if len(table.answers) == 1:
        step = -ndtri(shown[:, :, 0])
        return [(step, most) if feature.answer == YES else (least, step) for feature in of_column]
    steps = ndtri(np.clip(shown.cumsum(axis=2), 1e-9, 1 - 1e-9))
    ends = [least, *np.moveaxis(steps[:, :, :-1], 2, 0), most]
    places = [table.answers.index(feature.answer) for feature in of_column]
    return [(ends[place], ends[place + 1]) for place in places]


def _between(low: Floats, high: Floats, lean: float, scores: Floats) -> Floats:
    own = np.sqrt(1 - lean**2)
    above, below = ((limit[:, :, None] - lean * scores) / own for limit in (high, low))
    return cast(Floats, (ndtr(above) - ndtr(below)).mean(axis=0))
