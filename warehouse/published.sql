-- The tables of a snapshot, assembled from the warehouse for the clinics in changed_clinic.
-- Read by warehouse/publication.py, which first fills the temporary tables tier_order, tier_safety_net, clinic_setting,
-- in_force, kept_score, unread_row, refused_file and changed_clinic. Gives the views published_*, each with a clinic_id.

-- One score a version of a record: the one that the publish gate keeps, else by the versions in force where there is
-- one, else the newest.
CREATE OR REPLACE TEMP TABLE version_score AS
SELECT s.rowid AS score_row, s.clinic_id, s.record_id, s.submitted_at, s.intake_hash, t.rank,
       coalesce(s.clock_hours, t.see_by_hours) AS clock_hours
FROM referral_score s
SEMI JOIN changed_clinic USING (clinic_id)
SEMI JOIN intake_shown USING (clinic_id, record_id, intake_hash)
JOIN tier_order t ON t.id = s.tier
CROSS JOIN in_force f
LEFT JOIN kept_score k
       ON k.clinic_id = s.clinic_id AND k.record_id = s.record_id AND k.intake_hash = s.intake_hash
      AND k.model_version = s.model_version AND k.catalogue_version = s.catalogue_version
      AND k.rules_version = s.rules_version AND k.contract_version = s.contract_version AND k.scored_at = s.scored_at
QUALIFY row_number() OVER (
    PARTITION BY s.clinic_id, s.record_id, s.intake_hash
    ORDER BY (k.record_id IS NOT NULL) DESC,
             (s.model_version = f.model_version AND s.catalogue_version = f.catalogue_version
              AND s.rules_version = f.rules_version AND s.contract_version = f.contract_version) DESC,
             s.rowid DESC  -- scores are appended: the last is the newest, also where the clock went back
) = 1;

-- One row a record. arg_max passes over blanks, so a key or a pain once stated is kept when a correction leaves it out.
CREATE OR REPLACE TEMP TABLE record_history AS
SELECT clinic_id, record_id,
       min(submitted_at) AS episode_started_at,
       arg_max(intake_hash, submitted_at) AS current_hash,
       arg_max(patient_key, submitted_at) AS patient_key,
       arg_max(pain_now, submitted_at) AS pain_now,
       arg_max(pain_worst, submitted_at) AS pain_worst
FROM intake_shown
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
SELECT clinic_id, record_id, earlier, within_12_weeks,
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

-- What became of a record, as it was written down last: a correction that withdraws a condition withdraws it here too.
CREATE OR REPLACE TEMP TABLE newest_outcome AS
SELECT clinic_id, record_id, submitted_at, recorded_at, received_at, attended, confirmed_condition
FROM outcome SEMI JOIN changed_clinic USING (clinic_id)
QUALIFY row_number() OVER (PARTITION BY clinic_id, record_id ORDER BY recorded_at DESC) = 1;

CREATE OR REPLACE TEMP TABLE earlier_record AS
WITH each AS (SELECT clinic_id, record_id, unnest(earlier) AS e FROM linked_record)
SELECT each.clinic_id, each.record_id,
       list(struct_pack(record_id := e.record_id, submitted_at := e.submitted_at, tier := k.tier,
                        confirmed := o.confirmed_condition)
            ORDER BY e.submitted_at DESC, e.record_id) AS records
FROM each
LEFT JOIN record_clock k ON k.clinic_id = each.clinic_id AND k.record_id = each.e.record_id
LEFT JOIN newest_outcome o ON o.clinic_id = each.clinic_id AND o.record_id = each.e.record_id
GROUP BY each.clinic_id, each.record_id;

-- The last word on a record: on its tier (the newest decision that names one), on its status (the newest that names
-- one), and the visit, if somebody came. dated_at is the time that the row gives: for order and display. Nothing was
-- said later than it arrived, so that a clock that runs ahead hides no form that came after: said_at is for judging.
CREATE OR REPLACE TEMP TABLE last_word AS
SELECT clinic_id, record_id, 'tier' AS about, decided_at AS dated_at, least(decided_at, received_at) AS said_at,
       received_at, submitted_at, decided_tier AS said, decided_by, reason
FROM decision SEMI JOIN record_clock USING (clinic_id, record_id) WHERE decided_tier IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY clinic_id, record_id ORDER BY decided_at DESC) = 1
UNION ALL
SELECT clinic_id, record_id, 'status', decided_at, least(decided_at, received_at), received_at, submitted_at, status,
       decided_by, reason
FROM decision SEMI JOIN record_clock USING (clinic_id, record_id) WHERE status IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY clinic_id, record_id ORDER BY decided_at DESC) = 1
UNION ALL
SELECT clinic_id, record_id, 'visit', recorded_at, least(recorded_at, received_at), received_at, submitted_at, 'seen',
       NULL, NULL
FROM newest_outcome SEMI JOIN record_clock USING (clinic_id, record_id) WHERE attended;

-- The version that a word was about: the one it names; else the newest that had a score by then; else (forms and words
-- that arrived together) the first that was submitted by then. A version submitted later cannot have been meant. A word
-- that came in before any form of its record counts for the version it names and no other: its record may be mistyped.
CREATE OR REPLACE TEMP TABLE judged_version AS
WITH version AS (
    SELECT s.clinic_id, s.record_id, s.submitted_at, s.intake_hash, min(s.scored_at) AS scored_first_at,
           min(min(i.received_at)) OVER (PARTITION BY s.clinic_id, s.record_id) AS first_form_at
    FROM referral_score s SEMI JOIN last_word USING (clinic_id, record_id)
    JOIN intake_valid i ON i.clinic_id = s.clinic_id AND i.record_id = s.record_id AND i.intake_hash = s.intake_hash
    GROUP BY s.clinic_id, s.record_id, s.submitted_at, s.intake_hash
)
SELECT w.clinic_id, w.record_id, w.about, w.said_at, v.submitted_at, v.intake_hash
FROM last_word w JOIN version v
  ON v.clinic_id = w.clinic_id AND v.record_id = w.record_id
 AND (v.submitted_at = w.submitted_at OR (v.submitted_at <= w.said_at AND v.first_form_at <= w.received_at))
QUALIFY row_number() OVER (
    PARTITION BY w.clinic_id, w.record_id, w.about
    ORDER BY v.submitted_at IS NOT DISTINCT FROM w.submitted_at DESC, v.scored_first_at <= w.said_at DESC,
             if(v.scored_first_at <= w.said_at, v.submitted_at, NULL) DESC NULLS LAST, v.submitted_at
) = 1;

-- The score of that version that stood then: the newest by the model that was in force, else the newest of all; where
-- there was none yet, the first that came. A score that the publish gate keeps is the one that everybody saw.
CREATE OR REPLACE TEMP TABLE judged_score AS
WITH judged AS (
    SELECT j.*, if(c.to_suspended, NULL, c.to_version) AS model_version
    FROM judged_version j ASOF LEFT JOIN model_change c ON j.said_at >= c.happened_at
)
SELECT j.clinic_id, j.record_id, j.about, j.said_at, j.submitted_at, t.rank
FROM judged j
JOIN referral_score s ON s.clinic_id = j.clinic_id AND s.record_id = j.record_id AND s.intake_hash = j.intake_hash
JOIN tier_order t ON t.id = s.tier
LEFT JOIN kept_score k
       ON k.clinic_id = s.clinic_id AND k.record_id = s.record_id AND k.intake_hash = s.intake_hash
      AND k.model_version = s.model_version AND k.catalogue_version = s.catalogue_version
      AND k.rules_version = s.rules_version AND k.contract_version = s.contract_version AND k.scored_at = s.scored_at
QUALIFY row_number() OVER (
    PARTITION BY j.clinic_id, j.record_id, j.about
    ORDER BY s.scored_at <= j.said_at DESC,
             k.record_id IS NOT NULL DESC,
             if(s.scored_at <= j.said_at, s.model_version IS NOT DISTINCT FROM j.model_version, NULL) DESC NULLS LAST,
             if(s.scored_at <= j.said_at, s.scored_at, NULL) DESC NULLS LAST, s.scored_at, s.rowid
) = 1;

-- Of records that their history lifts: whether it did so then already. Same tests as in linked_record.
CREATE OR REPLACE TEMP TABLE lifted_before AS
WITH own AS (
    SELECT j.clinic_id, j.record_id, j.about, j.said_at,
           arg_max(v.patient_key, v.submitted_at) AS patient_key,
           arg_max(v.pain_now, v.submitted_at) AS pain_now, arg_max(v.pain_worst, v.submitted_at) AS pain_worst
    FROM judged_score j
    JOIN record_clock k ON k.clinic_id = j.clinic_id AND k.record_id = j.record_id AND k.is_lifted
    JOIN intake_valid v ON v.clinic_id = j.clinic_id AND v.record_id = j.record_id AND v.submitted_at <= j.submitted_at
    GROUP BY ALL
),
linked AS (
    SELECT own.*, unnest(l.within_12_weeks).record_id AS other
    FROM own JOIN linked_record l USING (clinic_id, record_id)
),
known AS (
    SELECT l.clinic_id, l.record_id, l.about, l.other, l.patient_key,
           l.pain_now > arg_max(v.pain_now, v.submitted_at) OR l.pain_worst > arg_max(v.pain_worst, v.submitted_at)
               AS is_worse
    FROM linked l
    JOIN intake_valid v ON v.clinic_id = l.clinic_id AND v.record_id = l.other AND v.submitted_at <= l.said_at
    GROUP BY l.clinic_id, l.record_id, l.about, l.other, l.patient_key, l.pain_now, l.pain_worst
)
SELECT clinic_id, record_id, about FROM known WHERE patient_key IS NOT NULL
GROUP BY clinic_id, record_id, about HAVING count(*) >= 2 OR bool_or(is_worse);

-- Why a word does not stand any more, null where it does: nobody may stay hidden behind what was said before the record
-- became more urgent, or before a further form of it came to urgent or faster, even where a later one did not (that a
-- form no more urgent than the one before reopens is not yet signed by a clinician). newer_rank: the most urgent form
-- newer than the one judged.
CREATE OR REPLACE TEMP TABLE standing_word AS
WITH newer AS (
    SELECT j.clinic_id, j.record_id, j.about, min(v.rank) AS newer_rank
    FROM judged_score j JOIN version_score v
      ON v.clinic_id = j.clinic_id AND v.record_id = j.record_id AND v.submitted_at > j.submitted_at
    GROUP BY ALL
),
compared AS (
    SELECT w.*, j.submitted_at AS judged_at, n.newer_rank, now_tier.id AS tier, now_tier.rank,
           if(b.about IS NULL, j.rank, least(j.rank, soon.rank)) AS rank_before,
           if(w.about = 'visit', 'visit', 'decision') AS what
    FROM last_word w
    JOIN record_clock k USING (clinic_id, record_id)
    JOIN tier_order now_tier ON now_tier.id = k.tier
    JOIN tier_order soon ON soon.id = 'soon'
    LEFT JOIN judged_score j
           ON j.clinic_id = w.clinic_id AND j.record_id = w.record_id AND j.about = w.about
    LEFT JOIN newer n
           ON n.clinic_id = w.clinic_id AND n.record_id = w.record_id AND n.about = w.about
    LEFT JOIN lifted_before b
           ON b.clinic_id = w.clinic_id AND b.record_id = w.record_id AND b.about = w.about
)
SELECT c.*,
       CASE
           WHEN judged_at IS NULL THEN concat('every form of this record is newer than its last ', what,
                                                  ' or came in after it')
           WHEN c.rank < rank_before
                THEN concat('after the last ', what, ' the computed tier rose from ', then_tier.id, ' to ', tier)
           WHEN newer_rank <= urgent.rank
                THEN concat('a form newer than the last ', what, if(newer_rank = rank_before, ' again', ''),
                            ' comes to ', newer_tier.id)
       END || ': decide again' AS note
FROM compared c
JOIN tier_order urgent ON urgent.id = 'urgent'
LEFT JOIN tier_order then_tier ON then_tier.rank = c.rank_before
LEFT JOIN tier_order newer_tier ON newer_tier.rank = c.newer_rank;

-- By when, of the tier that was decided last: as in record_clock, from the first decision for that tier or a more
-- urgent one, and the earliest clock that a tier of the same or a lesser urgency gave stands, so that deciding the same once
-- more moves nothing later. A form that reopened the record and was decided on since begins the count anew.
CREATE OR REPLACE TEMP TABLE decided_clock AS
WITH counted AS (
    SELECT w.clinic_id, w.record_id, w.dated_at, t.rank AS last_rank,
           coalesce(max(v.submitted_at), '-infinity'::TIMESTAMPTZ) AS counted_from
    FROM standing_word w
    JOIN tier_order t ON t.id = w.said
    JOIN tier_order urgent ON urgent.id = 'urgent'
    LEFT JOIN version_score v ON v.clinic_id = w.clinic_id AND v.record_id = w.record_id
                             AND v.submitted_at <= w.judged_at AND v.rank <= urgent.rank
    WHERE w.about = 'tier'
    GROUP BY ALL
),
reached AS (
    SELECT c.clinic_id, c.record_id, c.last_rank, t.rank,
           min(least(d.decided_at, d.received_at)) OVER (PARTITION BY c.clinic_id, c.record_id ORDER BY t.rank)
               AS reached_at,
           -- the clinic's own wait stands in for that of routine, as in record_clock
           if(t.id = 'routine', s.routine_weeks * 168, t.see_by_hours)::BIGINT AS hours
    FROM counted c
    JOIN decision d ON d.clinic_id = c.clinic_id AND d.record_id = c.record_id
                   AND (least(d.decided_at, d.received_at) >= c.counted_from OR d.decided_at = c.dated_at)
    JOIN tier_order t ON t.id = d.decided_tier
    JOIN clinic_setting s ON s.clinic_id = c.clinic_id
)
SELECT clinic_id, record_id, min(reached_at + to_hours(hours)) FILTER (rank >= last_rank) AS see_by
FROM reached GROUP BY clinic_id, record_id;

-- What clinicians decided, one row a record that anything was said about. Who came is seen, unless the referral was
-- closed before and stays so. A tier that no longer stands gives way only to a more urgent one. A newer form that
-- reopens nothing is told where it would stay out of sight, until something is said of it (not yet signed by a clinician).
CREATE OR REPLACE TEMP TABLE record_decision AS
WITH said AS (
    SELECT clinic_id, record_id,
           any_value(said) FILTER (about = 'tier') AS decided_tier,
           any_value(decided_by) FILTER (about = 'tier') AS decided_by,
           any_value(dated_at) FILTER (about = 'tier') AS decided_at,
           any_value(reason) FILTER (about = 'tier') AS decision_reason,
           any_value(note) FILTER (about = 'tier') AS tier_note,
           any_value(said) FILTER (about = 'status') AS said_status,
           any_value(dated_at) FILTER (about = 'status') AS status_at,
           any_value(note) FILTER (about = 'status') AS status_note,
           any_value(dated_at) FILTER (about = 'visit') AS visit_at,
           any_value(note) FILTER (about = 'visit') AS visit_note,
           any_value(rank) AS rank, any_value(tier) AS tier,
           bool_and(judged_at IS NULL OR newer_rank IS NOT NULL) AS is_unseen
    FROM standing_word GROUP BY clinic_id, record_id
),
spoken AS (
    SELECT *,
           visit_at IS NOT NULL AND (status_at IS NULL OR visit_at >= status_at)
               AND NOT (said_status IS NOT DISTINCT FROM 'closed' AND status_note IS NULL) AS by_visit,
           if(by_visit, visit_note, status_note) AS reopened,
           CASE WHEN reopened IS NOT NULL THEN 'open' WHEN by_visit THEN 'seen' ELSE coalesce(said_status, 'open') END
               AS status
    FROM said
)
SELECT p.clinic_id, p.record_id, p.decided_tier, p.decided_by, p.decided_at, p.decision_reason,
       p.status,
       coalesce(tier_note, reopened,
                if(is_unseen AND p.status IN ('seen', 'closed'),
                   concat('a form newer than the last word on this record comes to ', p.tier,
                          ' and leaves it ', p.status, ': look at it'), NULL)) AS note,
       if(tier_note IS NOT NULL AND p.rank < t.rank, NULL, p.decided_tier) AS standing_tier,
       t.rank < p.rank AS is_raised,
       if(is_raised, c.see_by, NULL) AS see_by
FROM spoken p
LEFT JOIN decided_clock c USING (clinic_id, record_id)
LEFT JOIN tier_order t ON t.id = p.decided_tier;

-- Concerns which say that somebody may wait too long, and that no decision on the record has followed: a person looks (not
-- yet signed by a clinician). They change no tier and reopen nothing. Here too nothing was said later than it arrived.
CREATE OR REPLACE TEMP TABLE record_concern AS
WITH decided AS (
    SELECT clinic_id, record_id, max(said_at) AS said_at FROM standing_word
    WHERE about <> 'visit' AND judged_at IS NOT NULL GROUP BY clinic_id, record_id
)
SELECT clinic_id, record_id,
       concat('a safety concern was reported on ', strftime(max(c.reported_at), '%Y-%m-%d'), ' UTC: ',
              string_agg(DISTINCT replace(c.concern, '_', ' '), ', ' ORDER BY replace(c.concern, '_', ' ')),
              ': look at it') AS note
FROM safety_concern c SEMI JOIN record_clock USING (clinic_id, record_id)
LEFT JOIN decided d USING (clinic_id, record_id)
WHERE c.concern IN ('tier_too_low', 'red_flag_missed')
  AND (d.said_at IS NULL OR least(c.reported_at, c.received_at) >= d.said_at)
GROUP BY clinic_id, record_id;

-- All that history adds to a record, kept narrow: the wide rows of the scores pass through one join only.
CREATE OR REPLACE TEMP TABLE record_added AS
SELECT k.clinic_id, k.record_id, k.score_row, r.patient_key, r.episode_started_at, k.tier, k.is_lifted, k.score_from,
       least(k.see_by, d.see_by) AS see_by, l.review_reason,
       coalesce(d.status, 'open') AS status, d.decided_tier, d.decided_by, d.decided_at, d.decision_reason,
       coalesce(d.standing_tier, k.tier) AS effective_tier, coalesce(d.is_raised, false) AS is_raised, d.note,
       coalesce(f.flags, []) AS earlier_red_flags, coalesce(e.records, []) AS earlier_records,
       o.note AS concern_note,
       if(s.record_id IS NULL, NULL, 'the program, rules and model of now find it less urgent: it keeps its earlier '
          'tier until somebody lets the lower one pass') AS kept_note
FROM record_clock k
JOIN record_history r USING (clinic_id, record_id)
LEFT JOIN kept_score s USING (clinic_id, record_id)
LEFT JOIN linked_record l USING (clinic_id, record_id)
LEFT JOIN earlier_flag f USING (clinic_id, record_id)
LEFT JOIN earlier_record e USING (clinic_id, record_id)
LEFT JOIN record_decision d USING (clinic_id, record_id)
LEFT JOIN record_concern o USING (clinic_id, record_id);

-- A lifted row says what its published tier says: the wait it names is that of the tier, and a person looks before it
-- goes where its answers alone would have sent it. So does a row that a clinician decided to be more urgent. A row that
-- was decided to be less urgent keeps every word of the computed tier: the red flags stay in view.
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
    CASE WHEN a.is_raised THEN concat_ws('; ', 'where the deciding clinician says', nullif(s.destination, ''))
         WHEN a.is_lifted THEN concat_ws('; ', 'a clinician of the clinic looks first', nullif(s.destination, ''))
         ELSE s.destination END AS destination,
    s.first_imaging,
    s.red_flags, s.rule_status, a.earlier_red_flags,
    s.questions_to_ask, s.differential, s.prediction_set, s.contributing_factors, s.reasons,
    s.until_seen, s.self_care, coalesce(n.safety_net, s.safety_net) AS safety_net,
    coalesce(s.needs_review, false) OR coalesce(a.review_reason, a.note, a.concern_note, a.kept_note) IS NOT NULL
        AS needs_review,
    nullif(concat_ws('; ', a.note, a.concern_note, a.kept_note, nullif(s.review_reason, ''), a.review_reason), '')
        AS review_reason,
    a.status, a.decided_tier, a.decided_by, a.decided_at, a.decision_reason, a.effective_tier,
    a.earlier_records,
    s.has_notes, s.evidence_basis, s.model_version, s.catalogue_version, s.rules_version, s.contract_version,
    s.intake_hash
FROM record_added a
JOIN referral_score s ON s.rowid = a.score_row
LEFT JOIN tier_safety_net n
       ON n.tier = CASE WHEN a.is_raised THEN a.effective_tier WHEN a.is_lifted THEN a.tier END;

CREATE OR REPLACE TEMP VIEW published_history AS
SELECT clinic_id, record_id, submitted_at, scored_at, tier, tier_basis, priority_score, model_version,
       catalogue_version, rules_version, contract_version, intake_hash
FROM referral_score ANTI JOIN withdrawn_record USING (clinic_id, record_id) ORDER BY record_id, submitted_at, scored_at;

-- Hashes and numbers only: no name of a file and no text.
CREATE OR REPLACE TEMP VIEW published_lineage AS
SELECT v.clinic_id, v.record_id, v.submitted_at, v.intake_hash, f.sha256 AS file_sha256, v.record_number, f.received_at
FROM intake_shown v JOIN intake_file f USING (batch_id) ORDER BY v.record_id, v.submitted_at;

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
       q.error_codes,
       q.received_at + if(p.possible_tier IS NOT DISTINCT FROM 'emergency', INTERVAL 0 HOUR, INTERVAL 24 HOUR) AS act_by,
       q.sha256 AS file_sha256, q.record_number
FROM unread_record q
LEFT JOIN possible p ON p.batch_id = q.batch_id AND p.record_number = q.record_number AND p.place = 1
LEFT JOIN tier_order t ON t.id = p.possible_tier
LEFT JOIN read_since s ON s.batch_id = q.batch_id AND s.record_number = q.record_number
WHERE s.rank IS NULL OR s.rank > t.rank
ORDER BY act_by, t.rank NULLS LAST, q.record_id, q.batch_id, q.record_number;

-- What clinicians sent, every row that could be read: what stands of it is said in referrals. Withdrawn records have none.
CREATE OR REPLACE TEMP VIEW published_decisions AS
SELECT d.clinic_id, d.record_id, d.submitted_at, d.decided_at, d.decided_by, d.status, d.decided_tier, d.reason,
       d.received_at, f.sha256 AS file_sha256
FROM decision d JOIN intake_file f USING (batch_id) ANTI JOIN withdrawn_record USING (clinic_id, record_id)
ORDER BY d.record_id, d.decided_at, d.received_at;

CREATE OR REPLACE TEMP VIEW published_outcomes AS
SELECT o.clinic_id, o.record_id, o.submitted_at, o.recorded_at, o.attended, o.confirmed_condition, o.also_confirmed,
       o.found_by, o.differential_seen_before, o.harm, o.harm_related, o.tier_in_hindsight, o.received_at,
       f.sha256 AS file_sha256
FROM outcome o JOIN intake_file f USING (batch_id) ANTI JOIN withdrawn_record USING (clinic_id, record_id)
ORDER BY o.record_id, o.recorded_at, o.received_at;

-- Also those that name no record, or one that has not arrived: a concern is never out of sight.
CREATE OR REPLACE TEMP VIEW published_safety_concerns AS
SELECT c.clinic_id, c.record_id, c.submitted_at, c.reported_at, c.reported_by, c.concern, c.received_at,
       f.sha256 AS file_sha256
FROM safety_concern c JOIN intake_file f USING (batch_id) ANTI JOIN withdrawn_record USING (clinic_id, record_id)
ORDER BY c.reported_at, c.received_at, c.record_id;

-- Rows of such files that were refused and that nobody has dealt with.
CREATE OR REPLACE TEMP VIEW published_unread_follow_up AS
SELECT clinic_id, contents, record_id, received_at, error_codes, sha256 AS file_sha256, record_number
FROM unread_row WHERE contents <> 'intake'
ORDER BY received_at, batch_id, record_number;

-- Files of which nothing could be read: nobody knows what is in them, nor whose it is.
CREATE OR REPLACE TEMP VIEW published_refused_files AS
SELECT clinic_id, refusal, received_at, sha256 AS file_sha256 FROM refused_file ORDER BY received_at, batch_id;
