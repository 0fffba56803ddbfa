"""Findings that may only ever make a record more urgent, read from ``knowledge/red_flag_findings.yaml``.

Belongs here: which they are, and how the classifier's weights are read so that stating one more never reassures. Does
not belong here: the rules that fire on them (``models.rules``), the tier that follows (``models.priority``).

A classifier moves probability between conditions: fever makes an infected joint likelier and a stress fracture less
likely, so that a record held for its possible fracture could become less urgent by a fever. Two readings prevent it.
``danger`` (and ``cautious``) is the probability of a dangerous condition where a stated red flag never speaks against
it and an absent one never for it: it cannot fall when a no becomes a blank, or a blank a yes. ``without_red_flags`` is
what else was answered, from which default tiers are chosen.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import sparse

from models.decision_costs import decision_costs
from models.feature_shares import leans
from models.features import NO, YES, facts, feature_names, features
from models.figures import Floats
from models.knowledge_files import KNOWLEDGE, read_yaml
from models.pool import Part
from schemas.form import questions

_CHUNK = 1024  # records read at once: small enough for the processor's cache
Witness = tuple[list[int], list[Floats], bool]  # features, their changes, whether they count as one

_OTHERS = 0.5  # how much a further finding of a linked group counts beside its strongest


class RedFlagFindings(BaseModel):
    """The checked content of ``red_flag_findings.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    findings: dict[str, tuple[str, ...]]
    ladders: dict[str, tuple[str, ...]]
    rising: tuple[str, ...]

    @model_validator(mode="after")
    def _of_the_form(self) -> RedFlagFindings:
        asked = questions()
        for column in self.columns:
            if column not in asked or asked[column].type != "yesno":
                raise ValueError(f"red_flag_findings.yaml: the form has no yes/no column {column!r}")
        for column, answers in self.ladders.items():
            if column not in asked or set(answers) != set(asked[column].choices):
                raise ValueError(f"red_flag_findings.yaml, ladders: not the answers of a choice column: {column!r}")
        for column in self.rising:
            if column not in asked or asked[column].type not in ("integer", "number"):
                raise ValueError(f"red_flag_findings.yaml, rising: the form has no number {column!r}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The yes/no columns, each once."""
        return tuple(dict.fromkeys(column for group in self.findings.values() for column in group))


@cache
def red_flag_findings() -> RedFlagFindings:
    """The findings, checked against the form. Raises ``ValueError`` naming the column that does not fit."""
    return RedFlagFindings.model_validate(read_yaml(KNOWLEDGE / "red_flag_findings.yaml"))


@cache
def _ladders() -> tuple[tuple[int, ...], ...]:
    """Feature numbers of every red-flag fact from the least to the most worrying answer."""
    place = {name: number for number, name in enumerate(feature_names())}
    leading = {member: column for column, members in facts().items() for member in members}
    boxes = dict.fromkeys(leading[column] for column in red_flag_findings().columns if column in leading)
    ladders: list[tuple[str, tuple[str, ...]]] = [(column, (NO, YES)) for column in boxes]
    ladders += red_flag_findings().ladders.items()
    ladders += [(c, tuple(f.answer for f in features() if f.column == c)) for c in red_flag_findings().rising]
    return tuple(tuple(place[f"{column}={answer}"] for answer in answers) for column, answers in ladders)


def without_red_flags(matrix: sparse.csr_array) -> sparse.csr_array:
    """The ``feature_matrix`` of records with every answer to a red-flag question left out, whatever it was."""
    keep = np.ones(matrix.shape[1], dtype=matrix.dtype)
    keep[[number for ladder in _ladders() for number in ladder]] = 0
    rest = sparse.csr_array(matrix @ sparse.diags_array(keep))
    rest.eliminate_zeros()
    return rest


def cautious(estimator: Part, matrix: sparse.csr_array, probabilities: Floats, without: Floats) -> Floats:
    """``probabilities`` (n x classes) with those of the dangerous conditions read so that no red flag reassures.

    Rows then need not sum to 1. ``matrix`` and ``without`` as in ``danger``.
    """
    places = [place for place, name in enumerate(estimator.classes_) if name in decision_costs().conditions]
    read = probabilities.copy()
    read[:, places] = danger(estimator.answer_weights(), matrix, np.log(without), places)
    return read


def danger(weights: Floats, matrix: sparse.csr_array, without: Floats, places: list[int]) -> Floats:
    """Probability of each class at ``places``, red flags read as above, n x len(places).

    ``weights``: what each answer adds when it stands alone, classes x features. ``matrix`` is the ``feature_matrix``
    of the records, ``without`` the log-probabilities (up to a constant a row, n x classes) by ``without_red_flags``.
    The figure rises or stays, and never falls, along every ladder: absent, blank, present; or walks normally, blank,
    limps, with an aid, not at all. Findings of one linked group are no independent witnesses: the strongest counts in
    full, the others by half (judgement).
    """
    witnesses = _witnesses(weights, places)
    chunks = [slice(start, start + _CHUNK) for start in range(0, matrix.shape[0], _CHUNK)]
    read = [_danger(witnesses, matrix[rows], without[rows], places) for rows in chunks]
    return np.concatenate(read) if read else np.empty((0, len(places)))


def _danger(witnesses: list[Witness], matrix: sparse.csr_array, without: Floats, places: list[int]) -> Floats:
    stated = sparse.csc_array(matrix)
    margins = without[:, None, :] - without[:, places, None]
    for numbers, changes, together in witnesses:
        strongest = np.zeros_like(margins) if together else None
        for number, change in zip(numbers, changes, strict=True):
            rows = stated.indices[stated.indptr[number] : stated.indptr[number + 1]]
            if strongest is None:
                margins[rows] += change
                continue
            margins[rows] += _OTHERS * change
            furthest = np.maximum if change.sum() > 0 else np.minimum
            strongest[rows] = furthest(strongest[rows], change)
        if strongest is not None:
            margins += (1 - _OTHERS) * strongest
    return cast(Floats, 1 / np.exp(margins).sum(axis=2))


def _witnesses(weights: Floats, places: list[int]) -> list[Witness]:
    """Red-flag features with what each adds to the log-odds of every class against each of ``places``.

    Features that count as one witness come together: those of one linked group that reassure, or that worry.
    """
    against = weights[None, :, :] - weights[places][:, None, :]  # above 0 where the answer speaks against the place
    group_of = {column: group for column, (group, _) in leans().items()}
    found: dict[tuple[str, bool], tuple[list[int], list[Floats]]] = {}
    for ladder in _ladders():
        column = features()[ladder[0]].column
        least = np.zeros(against.shape[:2])
        for step, number in enumerate(ladder):
            worries = step > 0
            least = np.minimum(against[:, :, number], least) if worries else least
            change = least if worries else np.maximum(against[:, :, number], 0)
            numbers, changes = found.setdefault((group_of.get(column, column), worries), ([], []))
            numbers.append(number)
            changes.append(change)
    return [(numbers, changes, len(numbers) > 1) for numbers, changes in found.values()]
