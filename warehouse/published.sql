-- The tables of a snapshot, assembled from the warehouse for the clinics in changed_clinic.
-- Read by warehouse/publication.py, which first fills the temporary tables tier_order, tier_safety_net, clinic_setting,
-- in_force, unread_record and changed_clinic. Gives the views published_referrals, published_unread, published_history
-- and published_lineage, each with a clinic_id.
-- A table of clinicians' decisions will join at published_referrals (status, decided_*, effective_tier).

-- One score a version of a record: by the versions in force where there is one, else the newest.
CREATE OR REPLACE TEMP TABLE version_score AS
SELECT s.rowid AS score_row, s.clinic_id, s.record_id, s.submitted_at, s.intake_hash, t.rank,
       coalesce(s.clock_hours, t.see_by_hours) AS clock_hours
FROM referral_score s
SEMI JOIN changed_clinic USING (clinic_id)
SEMI JOIN intake_valid USING (clinic_id, record_id, intake_hash)
JOIN tier_order t ON t.id = s.tier
CROSS JOIN in_force f
QUALIFY row_number() OVER (
    PARTITION BY s.clinic_id, s.record_id, s.intake_hash
    ORDER BY (s.model_version = f.model_version AND s.catalogue_version = f.catalogue_version
              AND s.rules_version = f.rules_version AND s.contract_version = f.contract_version) DESC,
             s.scored_at DESC, s.rowid DESC
) = 1;

-- One row a record. arg_max passes over blanks, so a key or a pain once stated is kept when a correction leaves it out.
CREATE OR REPLACE TEMP TABLE record_history AS
SELECT clinic_id, record_id,
       min(submitted_at) AS episode_started_at,
       arg_max(intake_hash, submitted_at) AS current_hash,
       arg_max(patient_key, submitted_at) AS patient_key,
       arg_max(pain_now, submitted_at) AS pain_now,
       arg_max(pain_worst, submitted_at) AS pain_worst
FROM intake_valid
SEMI JOIN changed_clinic USING (clinic_id)
GROUP BY clinic_id, record_id;

-- The records of the same person that began before, the last 20 at most: a key that many share must not multiply.
CREATE OR REPLACE TEMP TABLE linked_record AS
WITH linked AS (
    SELECT *, list(struct_pack(record_id, submitted_at := episode_started_at, pain_now, pain_worst)) OVER (
        PARTITION BY clinic_id, patient_key ORDER BY episode_started_at, record_id
        ROWS BETWEEN 20 PRECEDING AND 1 PRECEDING
    ) AS before
    FROM record_history WHERE patient_key IS NOT NULL
),
recent AS (
    SELECT *,
        list_filter(before, lambda e: e.submitted_at < episode_started_at) AS earlier,
        list_filter(before, lambda e: e.submitted_at < episode_started_at
                                  AND e.submitted_at >= episode_started_at - INTERVAL 84 DAY) AS within_12_weeks
    FROM linked
)
SELECT clinic_id, record_id, earlier,
       nullif(concat_ws('; ',
           CASE WHEN len(within_12_weeks) >= 2 THEN 'third or later record of this person within 12 weeks' END,
           CASE WHEN len(list_filter(within_12_weeks, lambda e: pain_worst > e.pain_worst OR pain_now > e.pain_now)) > 0
                THEN 'worse pain than in a record of the last 12 weeks' END
       ), '') AS review_reason
FROM recent
WHERE len(earlier) > 0;

-- Tier and clock. A record that its history sends to review is never below soon (not yet signed by a clinician).
-- The clock starts with the first submission at the tier or a more urgent one; the earliest clock that a version of
-- the same or a lesser urgency gave stands, so that a correction never moves it later.
CREATE OR REPLACE TEMP TABLE record_clock AS
WITH lifted AS (
    SELECT v.*, l.review_reason IS NOT NULL AND v.rank > soon.rank AS is_lifted,
           if(is_lifted, soon.rank, v.rank) AS tier_rank,
           CASE WHEN v.rank <> routine.rank THEN v.clock_hours
                -- the clinic's own wait stands in for the 18 weeks; a shorter clock came from a rule
                WHEN v.clock_hours >= routine.see_by_hours THEN c.routine_weeks * 168
                ELSE least(v.clock_hours, c.routine_weeks * 168) END AS own_hours,
           if(is_lifted, least(own_hours, soon.see_by_hours), own_hours) AS hours
    FROM version_score v
    JOIN clinic_setting c USING (clinic_id)
    LEFT JOIN linked_record l USING (clinic_id, record_id)
    JOIN tier_order soon ON soon.id = 'soon'
    JOIN tier_order routine ON routine.id = 'routine'
),
reached AS (
    SELECT *,
           min(submitted_at) OVER (PARTITION BY clinic_id, record_id ORDER BY tier_rank) AS reached_at,
           last_value(tier_rank) OVER history AS current_rank,
           last_value(is_lifted) OVER history AS current_lifted,
           last_value(score_row) OVER history AS current_score_row,
           last_value(intake_hash) OVER history AS current_hash
    FROM lifted
    WINDOW history AS (
        PARTITION BY clinic_id, record_id ORDER BY submitted_at
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
)
SELECT clinic_id, record_id, any_value(current_score_row) AS score_row, any_value(current_hash) AS intake_hash,
       any_value(t.id) AS tier, any_value(t.score_from) AS score_from, any_value(current_lifted) AS is_lifted,
       min(reached_at + to_microseconds((hours * 3600e6)::BIGINT)) FILTER (tier_rank >= current_rank) AS see_by
FROM reached
JOIN tier_order t ON t.rank = current_rank
GROUP BY clinic_id, record_id;

-- Red flags that an earlier version stated and the current one does not.
CREATE OR REPLACE TEMP TABLE earlier_flag AS
WITH stated AS (
    SELECT v.clinic_id, v.record_id, v.submitted_at, v.score_row = k.score_row AS is_current,
           unnest(list_transform(s.red_flags, lambda f: f.id)) AS id
    FROM version_score v
    JOIN record_clock k USING (clinic_id, record_id)
    JOIN referral_score s ON s.rowid = v.score_row
),
gone AS (
    SELECT clinic_id, record_id, id, max(submitted_at) AS stated_at
    FROM stated GROUP BY clinic_id, record_id, id HAVING NOT bool_or(is_current)
)
SELECT clinic_id, record_id, list(struct_pack(id, stated_at) ORDER BY stated_at DESC, id) AS flags
FROM gone GROUP BY clinic_id, record_id;

CREATE OR REPLACE TEMP TABLE earlier_record AS
WITH each AS (SELECT clinic_id, record_id, unnest(earlier) AS e FROM linked_record)
SELECT each.clinic_id, each.record_id,
       list(struct_pack(record_id := e.record_id, submitted_at := e.submitted_at, tier := k.tier,
                        confirmed := NULL::VARCHAR)
            ORDER BY e.submitted_at DESC, e.record_id) AS records
FROM each LEFT JOIN record_clock k ON k.clinic_id = each.clinic_id AND k.record_id = each.e.record_id
GROUP BY each.clinic_id, each.record_id;

-- All that history adds to a record, kept narrow: the wide rows of the scores pass through one join only.
CREATE OR REPLACE TEMP TABLE record_added AS
SELECT k.clinic_id, k.record_id, k.score_row, r.patient_key, r.episode_started_at, k.tier, k.is_lifted, k.score_from,
       k.see_by, l.review_reason, coalesce(f.flags, []) AS earlier_red_flags, coalesce(e.records, []) AS earlier_records
FROM record_clock k
JOIN record_history r USING (clinic_id, record_id)
LEFT JOIN linked_record l USING (clinic_id, record_id)
LEFT JOIN earlier_flag f USING (clinic_id, record_id)
LEFT JOIN earlier_record e USING (clinic_id, record_id);

-- A lifted row says what its published tier says: the wait it names is that of the tier, and a person looks before it
-- goes where its answers alone would have sent it.
CREATE OR REPLACE TEMP VIEW published_referrals AS
SELECT
    a.clinic_id, a.record_id, a.patient_key, s.data_kind,
    s.submitted_at, s.received_at, s.scored_at, a.episode_started_at,
    s.headline, s.age_years, s.sex, s.side, s.worse_side, s.pain_sites, s.duration_weeks, s.weight_bearing,
    s.running_now, s.special,
    a.tier,
    if(a.is_lifted, 'floor', s.tier_basis) AS tier_basis,
    if(a.is_lifted, concat('never below ', a.tier, ': ', a.review_reason, '; before that: ', s.tier_reason), s.tier_reason)
        AS tier_reason,
    if(a.is_lifted, greatest(s.priority_score, a.score_from), s.priority_score) AS priority_score,
    a.see_by, s.ask_by,
    if(a.is_lifted, concat_ws('; ', 'a clinician of the clinic looks first', nullif(s.destination, '')), s.destination)
        AS destination,
    s.first_imaging,
    s.red_flags, s.rule_status, a.earlier_red_flags,
    s.questions_to_ask, s.differential, s.prediction_set, s.contributing_factors, s.reasons,
    s.until_seen, s.self_care, if(a.is_lifted, n.safety_net, s.safety_net) AS safety_net,
    coalesce(s.needs_review, false) OR a.review_reason IS NOT NULL AS needs_review,
    nullif(concat_ws('; ', nullif(s.review_reason, ''), a.review_reason), '') AS review_reason,
    'open' AS status,
    NULL::VARCHAR AS decided_tier, NULL::VARCHAR AS decided_by, NULL::TIMESTAMPTZ AS decided_at,
    NULL::VARCHAR AS decision_reason,
    a.tier AS effective_tier,
    a.earlier_records,
    s.has_notes, s.evidence_basis, s.model_version, s.catalogue_version, s.rules_version, s.contract_version,
    s.intake_hash
FROM record_added a
JOIN referral_score s ON s.rowid = a.score_row
LEFT JOIN tier_safety_net n ON n.tier = if(a.is_lifted, a.tier, NULL);

CREATE OR REPLACE TEMP VIEW published_history AS
SELECT clinic_id, record_id, submitted_at, scored_at, tier, tier_basis, priority_score, model_version,
       catalogue_version, rules_version, contract_version, intake_hash
FROM referral_score ORDER BY record_id, submitted_at, scored_at;

-- Hashes and numbers only: no name of a file and no text.
CREATE OR REPLACE TEMP VIEW published_lineage AS
SELECT v.clinic_id, v.record_id, v.submitted_at, v.intake_hash, f.sha256 AS file_sha256, v.record_number, f.received_at
FROM intake_valid v JOIN intake_file f USING (batch_id) ORDER BY v.record_id, v.submitted_at;

-- Forms that could not be read. One that was sent again and read since is left out, unless what its readable cells
-- say is more urgent than what the later version came to. Somebody reads a form within a day, at once where an
-- answer says emergency (not yet signed by a clinician).
CREATE OR REPLACE TEMP VIEW published_unread AS
WITH possible AS (
    SELECT u.batch_id, u.record_number, u.possible_tier,
           row_number() OVER (
               PARTITION BY u.batch_id, u.record_number
               ORDER BY u.rules_version = i.rules_version DESC, t.rank NULLS LAST
           ) AS place
    FROM unread_form u CROSS JOIN in_force i LEFT JOIN tier_order t ON t.id = u.possible_tier
),
read_since AS (
    SELECT q.batch_id, q.record_number, min(w.rank) AS rank
    FROM unread_record q
    JOIN intake_valid v ON v.clinic_id = q.clinic_id AND v.record_id = q.record_id AND v.received_at > q.received_at
    JOIN version_score w ON w.clinic_id = v.clinic_id AND w.record_id = v.record_id AND w.intake_hash = v.intake_hash
    GROUP BY q.batch_id, q.record_number
)
SELECT q.clinic_id, q.record_id, q.received_at, p.possible_tier,
       list_distinct(list_transform(q.problems, lambda x: x.code)).list_sort() AS error_codes,
       q.received_at + if(p.possible_tier IS NOT DISTINCT FROM 'emergency', INTERVAL 0 HOUR, INTERVAL 24 HOUR) AS act_by,
       q.sha256 AS file_sha256, q.record_number
FROM unread_record q
LEFT JOIN possible p ON p.batch_id = q.batch_id AND p.record_number = q.record_number AND p.place = 1
LEFT JOIN tier_order t ON t.id = p.possible_tier
LEFT JOIN read_since s ON s.batch_id = q.batch_id AND s.record_number = q.record_number
WHERE s.rank IS NULL OR s.rank > t.rank
ORDER BY act_by, t.rank NULLS LAST, q.record_id, q.batch_id, q.record_number;
