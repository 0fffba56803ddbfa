"""Which unanswered question would change a danger, or the tier with it, the most: the value of asking, by the model.

Belongs here: expected changes from the catalogue's shares and the probabilities of a record. Does not belong here:
what the rules wait for, and the order of the questions (``models.asking``).

For a finding with share s in a dangerous condition and share m in the others as likely as the record makes them, the
danger p becomes p * s / (p * s + (1 - p) * m) if it is present; by Bayes' rule the expected size of the change of p
over both answers is 2 * p * (1 - p) * abs(s - m). No answer has to be tried out, so the model itself, which knows that
findings come together, may move a little otherwise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from models import figures
from models.asked_of_whom import applies
from models.basis import Basis
from models.catalogue import load_catalogue
from models.feature_shares import answer_shares
from models.features import NO, YES, facts, features
from models.figures import Floats
from models.priority import RANK, Judged
from models.wording import in_a_sentence
from schemas.form import questions

Ints = NDArray[np.int64]

LEAST_CHANGE = 0.005  # half a percentage point of a danger's probability: below it a call is not worth it (judgement)
_MOST = 5
_TINY = 1e-9
_CHUNK = 1024  # records at once: small enough for the processor's cache
ASKABLE = {"row": pl.UInt32, "column": pl.String, "chance": pl.Float64, "change": pl.Float64, "why": pl.String}


@cache
def _shares() -> tuple[tuple[str, ...], Floats]:
    """The yes/no facts that a runner can be asked on the telephone, and their shares, conditions x facts."""
    catalogue = load_catalogue()
    shares = answer_shares(catalogue, drawn=False)
    asked = [f for f in shares if f.answer == YES and f.column in facts() and _by_telephone(f.column)]
    return tuple(f.column for f in asked), figures.mixing(catalogue) @ np.array([shares[f][:, 0] for f in asked]).T


def _by_telephone(column: str) -> bool:
    question = questions()[column]
    return question.ask == "ask" and question.asked_of == "runner"


def expected_changes(
    records: pl.DataFrame, matrix: sparse.csr_array, judged: Judged, tier: pl.Series, basis: Basis
) -> pl.DataFrame:
    """The most telling unanswered facts of each record: row, column, chance, change, why; at most five a record.

    ``chance``: the probability of a yes where it would bring a dangerous condition to its written threshold, and with
    it raise ``tier`` (String, n); else 0. ``change``: by how much the answer is expected to move the probabilities of
    the dangerous conditions, summed. Facts that move less than ``LEAST_CHANGE`` are left out, as are questions put to
    the other sex or another age. Nothing is asked of an emergency. Without a model nothing is asked on its account.
    """
    if basis.model is None or not judged.classes or not records.height:
        return pl.DataFrame(schema=ASKABLE)
    columns, shares = _shares()
    rank = tier.replace_strict(RANK, return_dtype=pl.Int64).to_numpy()[:, None]
    # An emergency is seen, not phoned.
    open_ = _unanswered(matrix, columns) & _applies(records, columns) & (rank > RANK["emergency"])
    parts = []
    for start in range(0, records.height, _CHUNK):
        rows = slice(start, start + _CHUNK)
        chance, change, about = _moves(
            shares, judged.probabilities[rows], judged.danger[rows], rank[rows], judged, basis
        )
        chance[~open_[rows]], change[~open_[rows]] = 0.0, 0.0
        parts.append(_best(start, columns, chance, change, about, judged, basis))
    return pl.concat(parts)


def _moves(
    shares: Floats, probabilities: Floats, dangers: Floats, rank: Ints, judged: Judged, basis: Basis
) -> tuple[Floats, Floats, Ints]:
    """Chance and change of every fact for some records, and the place of the condition that it is about."""
    present = probabilities @ shares
    change, chance, most = (np.zeros(present.shape) for _ in range(3))
    about, raised_by = (np.full(present.shape, -1) for _ in range(2))
    for number, place in enumerate(judged.dangerous):
        cost = basis.costs.conditions[judged.classes[place]]
        danger, own, alone = dangers[:, number][:, None], shares[place], probabilities[:, [place]]
        others = (present - alone * own) / np.maximum(1 - alone, _TINY)
        if_yes = danger * own / (danger * own + (1 - danger) * others)
        moved = 2 * danger * (1 - danger) * np.abs(own - others)
        raises = (if_yes >= cost.raise_from) & (if_yes > danger) & (RANK[cost.raises_to] < rank)
        raised_by = np.where(raises & ((chance == 0) | (moved > most)), place, raised_by)
        chance = np.where(raises, present, chance)
        about, most = np.where(moved > most, place, about), np.maximum(most, moved)
        change += moved
    return chance, change, np.where(raised_by >= 0, raised_by, about)


def _unanswered(matrix: sparse.csr_array, columns: tuple[str, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    place = {(feature.column, feature.answer): number for number, feature in enumerate(features())}
    yes, no = ([place[column, answer] for column in columns] for answer in (YES, NO))
    return np.asarray((matrix[:, yes] + matrix[:, no]).toarray() == 0)


def _applies(records: pl.DataFrame, columns: tuple[str, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Where a question is put to people of the record's sex and age; a blank or another sex removes none."""
    return np.array([records.select(applies(column)).to_series().to_numpy() for column in columns]).T


def _best(
    start: int, columns: tuple[str, ...], chance: Floats, change: Floats, about: Ints, judged: Judged, basis: Basis
) -> pl.DataFrame:
    order = np.lexsort((-change, -chance), axis=1)[:, :_MOST]
    rows = np.repeat(np.arange(len(order)), order.shape[1])
    fact = order.ravel()
    names = [in_a_sentence(basis.catalogue.conditions[name].name.partition(" (")[0]) for name in judged.classes]
    found = pl.DataFrame(
        {
            "row": (start + rows).astype(np.uint32),
            "column": pl.Series(columns).gather(fact.astype(np.uint32)),
            "chance": chance[rows, fact],
            "change": change[rows, fact],
            "about": pl.Series([*names, None]).gather(pl.Series(about[rows, fact].astype(np.int64)) % (len(names) + 1)),
        }
    )
    raises = pl.format("a yes could raise the tier, for {}", "about")
    tells = pl.format("tells most about {}, which is not excluded", "about")
    return found.filter(pl.col("change") >= LEAST_CHANGE).select(
        "row", "column", "chance", "change", why=pl.when(pl.col("chance") > 0).then(raises).otherwise(tells)
    )
