"""Generated, labelled intake records: what the first model learns from and is judged on.

Belongs here: ``generate``, and writing generated people down as records. Does not belong here: drawing people
(``models.people``), what a form leaves blank (``models.form_filling``).

No generated record is a patient. Every draw comes from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit

from models import figures
from models.catalogue import Catalogue
from models.contributing import factor_priors, factor_weights
from models.features import feature_matrix
from models.form_filling import Bools, stated_answers
from models.generator_settings import generator_settings
from models.people import People
from models.worlds import World, worlds
from schemas.form import Question, questions
from schemas.records import record_schema

_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_YEAR_SECONDS = 365 * 86400


@dataclass(frozen=True, slots=True)
class Cohort:
    """Generated records and what is true of them.

    ``records`` has the columns of ``record_schema``; ``condition`` holds one id a record, ``form_kind`` the
    kind of form; ``factors`` is records x contributing factors
    in catalogue order; ``seed`` reproduces all of it.
    """

    records: pl.DataFrame
    condition: NDArray[np.str_]
    form_kind: NDArray[np.str_]
    factors: Bools
    seed: int


def generate(
    catalogue: Catalogue,
    n: int,
    seed: int,
    *,
    conditions: NDArray[np.str_] | None = None,
    balanced: bool = False,
    world: World | None = None,
) -> Cohort:
    """Draw ``n`` labelled records.

    Takes labels from ``conditions`` (n ids) if given; else every condition equally often if ``balanced``; else as
    often as priors drawn from their ranges say. ``world``: in what they differ from the home world of ``worlds.yaml``
    (default: in nothing). Raises ``ValueError`` for ``conditions`` of another length or with an
    id that the catalogue does not hold.
    """
    if conditions is not None and (len(conditions) != n or set(conditions) - set(catalogue.conditions)):
        raise ValueError("conditions must be n ids of the catalogue")
    world = world or worlds().home
    rng = np.random.default_rng(seed + world.seed)
    people = People(catalogue, n, rng, world)
    people.draw_labels(conditions, balanced)
    people.draw_answers()
    people.make_consistent()
    factors = _factors(people)
    stated = stated_answers(people.answers, people.kind, world, rng)
    return Cohort(
        records=_records(people, stated, seed),
        condition=np.array(figures.condition_ids(catalogue))[people.label],
        form_kind=np.array(list(generator_settings().form_kinds))[people.kind],
        factors=factors,
        seed=seed,
    )


def _factors(people: People) -> Bools:
    """Contributing factors, each as likely as the true answers make it (``models.contributing``)."""
    truth = {column: np.ones(people.n, dtype=np.bool_) for column in people.answers}
    matrix = feature_matrix(_records(people, truth, 0))
    odds = matrix @ factor_weights(people.catalogue, stated=False).T + factor_priors(people.catalogue)
    return people.rng.random(odds.shape) < expit(odds)


def _records(people: People, stated: dict[str, Bools], seed: int) -> pl.DataFrame:
    """The stated answers as records of ``record_schema``."""
    schema = record_schema()
    fixed = _keys(people, seed)
    arrays = []
    for name in schema.names:
        if name in fixed:
            arrays.append(fixed[name].cast(schema.field(name).type))
        elif name in people.answers:
            arrays.append(_written(questions()[name], people.answers[name], stated[name]))
        else:
            arrays.append(pa.nulls(people.n, schema.field(name).type))
    return cast(pl.DataFrame, pl.from_arrow(pa.Table.from_arrays(arrays, schema=schema)))


def _keys(people: People, seed: int) -> dict[str, pa.Array]:
    seconds = people.rng.integers(0, _YEAR_SECONDS, people.n) * 1_000_000 + int(_FIRST_DAY.timestamp() * 1e6)
    times = pa.array(seconds).cast(pa.timestamp("us", tz="UTC"))
    kinds = np.array([kind.completed_by for kind in generator_settings().form_kinds.values()], dtype=object)
    filler = kinds[people.kind]
    filler[(filler == "self") & (people.answers["age_years"].astype(float) < 16)] = "parent_or_carer"
    names = [f"g{seed}-{number:07d}" for number in range(people.n)]
    clinics = pa.array([f"generated-{number:02d}" for number in range(people.clinics)])
    return {
        "record_id": pa.array(names),
        "clinic_id": clinics.take(pa.array(people.clinic)),
        "submitted_at": times,
        "received_at": times,
        "completed_by": pa.array(filler),
        "intake_hash": pa.array(names),
        "data_kind": pa.array(["sample"] * people.n),
        "has_notes": pa.array(np.zeros(people.n, bool)),
        "warnings": pa.array([[]] * people.n, pa.list_(pa.string())),
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
