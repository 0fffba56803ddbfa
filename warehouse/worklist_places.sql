-- Every referral in narrow columns: those of the worklist with their place, then those that are seen or closed, without
-- one. What a list is filtered, counted and cut into pages by, so that wide rows are read for one page alone. The order
-- is that of the view worklist. Written out in memory by warehouse/open_snapshots.py.
CREATE OR REPLACE TABLE place AS
WITH listed AS (SELECT place, clinic_id, record_id, overdue FROM worklist)
SELECT l.place, r.clinic_id, r.record_id, r.effective_tier, r.status, coalesce(r.needs_review, false) AS needs_review,
       l.overdue IS TRUE AS overdue, r.see_by
FROM referrals r LEFT JOIN listed l ON l.clinic_id = r.clinic_id AND l.record_id = r.record_id
ORDER BY l.place NULLS LAST, r.submitted_at DESC, r.clinic_id, r.record_id;
