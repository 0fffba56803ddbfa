"""Findings that may only ever make a record more urgent, read from ``knowledge/red_flag_findings.yaml``.

Belongs here: which they are, and how the classifier's weights are read so that stating one more never reassures. Does
not belong here: the rules that fire on them (``models.rules``), the tier that follows (``models.priority``).

A classifier moves probability between conditions: fever makes an infected joint likelier and a stress fracture less
likely, so that a record held for its possible fracture could become less urgent by a fever. Two readings prevent it.
``danger`` is the probability of a dangerous condition where a stated red flag never speaks against it and an absent one
never for it: it cannot fall when a no becomes a blank, or a blank a yes. ``without_red_flags`` is what else was
answered, from which default tiers are chosen. On generated records both together find as many dangerous conditions, at
as many false alarms, as the plain probability.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import sparse

from models.features import NO, YES, facts, feature_names
from models.figures import Floats
from models.knowledge_files import KNOWLEDGE, read_yaml
from models.model_file import LockedModel
from schemas.form import questions


class RedFlagFindings(BaseModel):
    """The checked content of ``red_flag_findings.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    findings: dict[str, tuple[str, ...]]
    ladders: dict[str, tuple[str, ...]]

    @model_validator(mode="after")
    def _of_the_form(self) -> RedFlagFindings:
        asked = questions()
        for column in self.columns:
            if column not in asked or asked[column].type != "yesno":
                raise ValueError(f"red_flag_findings.yaml: the form has no yes/no column {column!r}")
        for column, answers in self.ladders.items():
            if column not in asked or set(answers) != set(asked[column].choices):
                raise ValueError(f"red_flag_findings.yaml, ladders: not the answers of a choice column: {column!r}")
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
    return tuple(tuple(place[f"{column}={answer}"] for answer in answers) for column, answers in ladders)


def without_red_flags(matrix: sparse.csr_array) -> sparse.csr_array:
    """The ``feature_matrix`` of records with every answer to a red-flag question left out, whatever it was."""
    keep = np.ones(matrix.shape[1], dtype=matrix.dtype)
    keep[[number for ladder in _ladders() for number in ladder]] = 0
    rest = sparse.csr_array(matrix @ sparse.diags_array(keep))
    rest.eliminate_zeros()
    return rest


def danger(model: LockedModel, matrix: sparse.csr_array, probabilities: Floats, places: list[int]) -> Floats:
    """Probability of each class at ``places``, red flags read as above, n x len(places).

    ``matrix`` is the ``feature_matrix`` of the records, ``probabilities`` n x classes. The figure rises or stays, and
    never falls, along every ladder: absent, blank, present; or walks normally, blank, limps, with an aid, not at all.
    """
    change, used = _corrections(model, tuple(places))
    shift = (matrix[:, used] @ change).reshape(matrix.shape[0], len(places), len(model.classes))
    logs = np.log(probabilities)
    margins = logs[:, None, :] - logs[:, places, None] + shift
    return cast(Floats, 1 / np.exp(margins).sum(axis=2))


def _corrections(model: LockedModel, places: tuple[int, ...]) -> tuple[Floats, NDArray[np.int64]]:
    """What to add to the log-odds of every class against each of ``places``, red-flag features x (places * classes)."""
    used = np.array([number for ladder in _ladders() for number in ladder])
    change = []
    # Classes against each place: above 0 where the answer speaks against the place.
    against = model.weights[None, :, :] - model.weights[list(places)][:, None, :]
    for calm, *worrying in _ladders():
        change.append(np.maximum(against[:, :, calm], 0) - against[:, :, calm])
        least = np.zeros(against.shape[:2])
        for number in worrying:
            least = np.minimum(against[:, :, number], least)
            change.append(least - against[:, :, number])
    return cast(Floats, np.array(change).reshape(len(used), -1)), used
