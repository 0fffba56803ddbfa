-- The worklist: open rows of referrals in the order in which people should be seen, in plain columns. Open is whoever
-- nobody has seen and whose referral nobody closed; a row that became more urgent since is open again (published.sql).
-- Times are ISO 8601 in UTC. Overdue is worked out when it is read. {tier_order} is filled in from schemas/tiers.csv.
-- The order is worked out over narrow rows, so that the head of a long list costs little.
CREATE VIEW worklist AS
WITH judged AS (
    SELECT clinic_id, record_id, effective_tier, priority_score, see_by, coalesce(see_by < now(), false) AS overdue
    FROM referrals WHERE status NOT IN ('seen', 'closed')
),
ranked AS (
    SELECT clinic_id, record_id, effective_tier, overdue,
        row_number() OVER (
            ORDER BY list_position({tier_order}, effective_tier), overdue DESC, priority_score DESC, see_by,
                     clinic_id, record_id
        ) AS place
    FROM judged
)
SELECT
    k.place, k.clinic_id, k.record_id, k.effective_tier, k.overdue,
    strftime(see_by AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S+00:00') AS see_by,
    priority_score, headline, tier_reason, tier AS computed_tier, tier_basis, needs_review, review_reason,
    decided_tier, decided_by, strftime(decided_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S+00:00') AS decided_at,
    decision_reason,
    destination, first_imaging,
    array_to_string(list_transform(red_flags, lambda f: f.text), '; ') AS red_flags,
    array_to_string(until_seen, '; ') AS until_seen,
    strftime(ask_by AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S+00:00') AS ask_by,
    array_to_string(list_transform(questions_to_ask, lambda q: q.question), '; ') AS questions_to_ask,
    CASE WHEN list_contains(special, 'child') THEN 'the model is not built for children'
         ELSE replace(differential[1].condition, '_', ' ') END AS most_likely,
    array_to_string(list_transform(prediction_set, lambda c: replace(c, '_', ' ')), '; ') AS cannot_be_excluded,
    array_to_string(list_transform(contributing_factors, lambda c: replace(c, '_', ' ')), '; ')
        AS contributing_factors,
    array_to_string(safety_net, '; ') AS safety_net,
    array_to_string(special, '; ') AS special,
    status,
    strftime(submitted_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S+00:00') AS submitted_at,
    strftime(episode_started_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S+00:00') AS episode_started_at,
    has_notes, data_kind, evidence_basis, model_version
FROM ranked k JOIN referrals r ON r.clinic_id = k.clinic_id AND r.record_id = k.record_id
ORDER BY k.place;
