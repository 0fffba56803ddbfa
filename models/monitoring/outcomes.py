"""How the model and the tiers did on people whose condition was confirmed since.

Belongs here: calibration and sensitivity on confirmed outcomes, with intervals, least numbers and no small counts. Does
not belong here: which score an outcome is held against (``warehouse.monitoring``), the same figures on generated
records (``models.evaluation``), what outcomes teach (``models.outcome_learning``).

Only people who were seen and found something have an outcome: who was never confirmed is missing, and those seen sooner
are confirmed sooner. The figures say nothing about the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.decisions import at_or_faster
from models.evaluation.estimates import LEAST_CELL, Estimate, share
from models.evaluation.reliability import FIRST_NAMED_EDGES, Bin, reliability
from models.evaluation.scoring import scores_with_intervals
from models.figures import Floats
from models.monitoring.findings import Finding
from models.monitoring.limits import CalibrationLimits, SensitivityLimits

_N_TO_NEAREST = 10


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One record whose condition was confirmed: the score it had by then.

    ``differential``: probabilities of all conditions, summing to 1; empty where rules alone decided. ``built_for``: the
    model is built for this person (not a child).
    """

    condition: str
    tier: str
    differential: Mapping[str, float]
    built_for: bool = True


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found and the bins of a reliability plot (empty where it is too early to say anything)."""

    finding: Finding
    bins: Sequence[Bin]


def calibration(model: str, confirmed: Iterable[Confirmed], limits: CalibrationLimits) -> Calibration:
    """Calibration slope and reliability of the condition named first, over what ``model`` scored itself.

    ``moved`` where the whole 95 % interval of the slope lies outside ``limits.slope``. Records without a differential,
    of children, and with a condition that the differential does not name are left out.
    """
    used = [one for one in confirmed if one.built_for and one.condition in one.differential]
    if len(used) < limits.least_outcomes:
        few = (
            f"too few to say: fewer than {limits.least_outcomes} confirmed outcomes that this model scored and did not "
        )
        return Calibration(Finding(model, "too_few_to_say", f"{few}learn from"), ())
    classes = sorted({name for one in used for name in one.differential})
    probabilities = np.array([[one.differential.get(name, 0.0) for name in classes] for one in used], np.float64)
    label = np.array([classes.index(one.condition) for one in used], np.int64)
    slope = scores_with_intervals(probabilities, label, probabilities)["calibration_slope"]
    first = probabilities.argmax(axis=1)
    bins = [
        _without_few(found, probabilities.max(axis=1), first == label)
        for found in reliability(probabilities.max(axis=1), first == label, FIRST_NAMED_EDGES)
    ]
    return Calibration(_slope_finding(model, slope, limits), bins)


def sensitivity(
    subject: str, confirmed: Iterable[Confirmed], dangerous: Iterable[str], limits: SensitivityLimits
) -> Finding:
    """Of people with a confirmed dangerous condition, the share whose form came to ``limits.seen_by`` or faster.

    ``dangerous``: ids of conditions. ``low`` where the share is below ``limits.aim``; ``certain`` where its whole 95 %
    interval is (Wilson 1927).
    """
    those = set(dangerous)
    found = np.array([one.tier for one in confirmed if one.condition in those], dtype=np.str_)
    if len(found) < limits.least_outcomes:
        few = f"too few to say: fewer than {limits.least_outcomes} dangerous conditions confirmed"
        return Finding(subject, "too_few_to_say", few)
    seen = at_or_faster(found, limits.seen_by)
    figure = share(seen)
    if figure is None or figure["low"] is None or figure["high"] is None:
        return Finding(subject, "too_few_to_say", "too few to say")
    said = (
        f"between {figure['low']:.0%} and {figure['high']:.0%} of people with a confirmed dangerous condition came to "
        f"{limits.seen_by} or faster (95 % interval; aim {limits.aim:.0%}; about {_about(len(found))} people)"
    )
    low = figure["value"] < limits.aim
    return Finding(subject, "low" if low else "ok", said, _rounded(figure), certain=low and figure["high"] < limits.aim)


def _slope_finding(model: str, slope: Estimate | None, limits: CalibrationLimits) -> Finding:
    if slope is None or slope["low"] is None or slope["high"] is None or slope["n"] is None:
        return Finding(model, "too_few_to_say", "too few to say: every record has the same probabilities")
    outside = slope["high"] < limits.slope.least or slope["low"] > limits.slope.most
    said = (
        f"calibration slope {slope['value']:.2f} (95 % interval {slope['low']:.2f} to {slope['high']:.2f}; 1 is right, "
        f"taken as right from {limits.slope.least} to {limits.slope.most}; about {_about(slope['n'])} people)"
    )
    figures = {"slope": round(slope["value"], 2), "low": round(slope["low"], 2), "high": round(slope["high"], 2)}
    return Finding(model, "moved" if outside else "ok", said, figures, certain=outside)


def _without_few(found: Bin, predicted: Floats, happened: NDArray[np.bool_]) -> Bin:
    """The bin without its share where that would tell of few people: share and number give the count."""
    inside = (predicted >= found["low"]) & ((predicted < found["high"]) | (found["high"] == 1))
    had, had_not = int(happened[inside].sum()), int((~happened[inside]).sum())
    if found["observed"] is None or min(had, had_not) >= LEAST_CELL:
        return found
    return {**found, "predicted": None, "observed": None}


def _rounded(figure: Estimate) -> dict[str, float]:
    """Ends of the interval in whole per cent: with the exact share and number, a count of few could be worked out."""
    return {"low": round(figure["low"] or 0.0, 2), "high": round(figure["high"] or 0.0, 2)}


def _about(n: int) -> int:
    return _N_TO_NEAREST * round(n / _N_TO_NEAREST)
