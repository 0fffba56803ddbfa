"""Emergencies of a published table that nobody has acknowledged: which, and since when they have been here.

Belongs here: what the alerts and the clinicians' page both count. Does not belong here: wording and sending
(``pipelines.alerting``), what was entered and is not published yet (``pipelines.page.entry_forms.entries``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from warehouse.snapshot_reading import CLOCKS_DIFFER

# clinic_id, record_id, here_since of each, over the tables of a snapshot. An emergency by its form has been here since
# the first form that came to emergency; one by a clinician's decision since that decision. A form that was corrected
# does not begin to wait anew.
OPEN_EMERGENCIES = """
    WITH urgent AS (
        SELECT clinic_id, record_id, tier, received_at, decided_at FROM referrals
        WHERE effective_tier = 'emergency' AND status = 'open'
    ),
    first_here AS (
        SELECT u.clinic_id, u.record_id, min(l.received_at) AS received_at
        FROM urgent u
        JOIN referral_history h ON h.clinic_id = u.clinic_id AND h.record_id = u.record_id AND h.tier = 'emergency'
        JOIN lineage l ON l.clinic_id = h.clinic_id AND l.record_id = h.record_id AND l.intake_hash = h.intake_hash
        GROUP BY ALL
    )
    SELECT u.clinic_id, u.record_id,
           if(u.tier = 'emergency', least(u.received_at, f.received_at), coalesce(u.decided_at, u.received_at))
               AS here_since
    FROM urgent u LEFT JOIN first_here f USING (clinic_id, record_id)
"""


def waiting_too_long(since: Sequence[datetime], now: datetime, minutes: int) -> list[int]:
    """Which emergencies were left unacknowledged for more than these minutes, as places in ``since``.

    ``since``: since when each has been here, in order. A time ahead of us comes of a clock that was wrong, and says
    nothing about how long somebody has waited: it counts.
    """
    in_time = bisect_left(since, now - timedelta(minutes=minutes))
    ahead = bisect_right(since, now + CLOCKS_DIFFER)
    return [*range(in_time), *range(max(in_time, ahead), len(since))]
