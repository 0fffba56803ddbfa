"""Whether a clinic went silent, and whether it sends far fewer forms than it did.

Belongs here: usual gaps and usual weeks of one clinic. Does not belong here: counting arrivals
(``warehouse.monitoring``), the limits (``models.monitoring.limits``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
from scipy.stats import poisson

from models.monitoring.findings import Finding
from models.monitoring.limits import FreshnessLimits, VolumeLimits

FormsByDay = Mapping[date, int]


def freshness(clinic: str, days: FormsByDay, today: date, limits: FreshnessLimits) -> Finding:
    """``late`` where ``clinic`` has been silent for much longer than it usually is between two days with arrivals.

    ``days``: days (UTC) on which anything of the clinic arrived. Days after ``today`` are left out: a clock that ran
    ahead must not hide a silence.
    """
    arrived = sorted(day for day in days if day <= today)
    gaps = [(later - earlier).days for earlier, later in pairwise(arrived)][-limits.gaps :]
    if len(gaps) < limits.least_gaps:
        few = f"too few to say: arrivals on {len(arrived)} days, {limits.least_gaps + 1} are needed"
        return Finding(clinic, "too_few_to_say", few, {"days with arrivals": len(arrived)})
    usual = float(np.quantile(gaps, limits.usual_share, method="higher"))
    late_after = max(limits.times_usual * usual, limits.least_days)
    silent = (today - arrived[-1]).days
    return Finding(
        clinic,
        "late" if silent > late_after else "ok",
        f"last arrival {silent} days ago, late after {late_after:g} (usual gap at most {usual:g} days)",
        {"days silent": silent, "late after days": late_after},
    )


def volume(clinic: str, days: FormsByDay, today: date, limits: VolumeLimits) -> Finding:
    """``low`` where the last seven whole days brought far fewer forms than a usual week of ``clinic``.

    ``days``: forms that arrived (read or not) by day (UTC). ``today`` itself is not over and not counted. A week before
    the first arrival is no week of the clinic.
    """
    weeks = _weeks(days, today, limits.weeks + 1)
    if not weeks or len(weeks) <= limits.least_weeks:
        return Finding(clinic, "too_few_to_say", f"too few to say: less than {limits.least_weeks} weeks of arrivals")
    last, *before = weeks
    usual = float(np.median(before))
    if usual < limits.least_forms:
        few = f"too few to say: a usual week brings fewer than {limits.least_forms} forms"
        return Finding(clinic, "too_few_to_say", few)
    by_chance = float(poisson.cdf(last, usual))
    low = last < limits.share * usual and by_chance < limits.chance
    said = f"{last / usual:.0%} of a usual week in the last seven days, low below {limits.share:.0%}"
    return Finding(clinic, "low" if low else "ok", said, {"share of a usual week": round(last / usual, 2)})


def by_week(days: FormsByDay) -> dict[date, int]:
    """Forms by calendar week, named by its Monday; weeks in between without any are there with 0."""
    if not days:
        return {}
    mondays = {day - timedelta(days=day.weekday()) for day in days}
    weeks = (max(mondays) - min(mondays)).days // 7 + 1
    found = {min(mondays) + timedelta(weeks=place): 0 for place in range(weeks)}
    for day, forms in days.items():
        found[day - timedelta(days=day.weekday())] += forms
    return found


def _weeks(days: FormsByDay, today: date, at_most: int) -> list[int]:
    """Forms of the seven days up to yesterday, of the seven before, and so on, whole weeks since the first arrival."""
    begun = min((day for day in days if day < today), default=today)
    whole = min((today - begun).days // 7, at_most)
    found = [0] * whole
    for day, forms in days.items():
        place = (today - day).days - 1
        if 0 <= place < 7 * whole:
            found[place // 7] += forms
    return found
