-- What monitoring counts, as temporary views: nothing of a withdrawn record, and no value of anybody's form.
-- Read by warehouse/monitoring.py. '_unassigned' stands for forms that name no clinic.

-- Records that could not be read, dealt with since or not. A clinic that only a refused cell names may be anything that
-- somebody typed there; it counts where a folder or a record that was read names it too.
CREATE OR REPLACE TEMP VIEW monitored_refusal AS
SELECT q.batch_id, q.record_number, coalesce(nullif(f.clinic, ''), c.clinic_id, '_unassigned') AS clinic_id,
       q.received_at, list_distinct(list_transform(q.problems, lambda p: p.code)) AS codes
FROM intake_quarantine q JOIN intake_file f USING (batch_id)
LEFT JOIN (SELECT clinic_id FROM intake_shown UNION SELECT clinic FROM intake_file) c ON c.clinic_id = q.clinic_id
WHERE NOT list_contains(list_transform(q.problems, lambda p: p.code), 'withdrawn')
  AND NOT EXISTS (
      SELECT 1 FROM withdrawn_record w
      WHERE w.record_id = q.record_id AND w.clinic_id IN (q.clinic_id, f.clinic)
  );

-- Every form that arrived and was kept or refused; duplicates are none.
CREATE OR REPLACE TEMP VIEW monitored_form AS
SELECT batch_id, clinic_id, received_at FROM intake_shown
UNION ALL
SELECT batch_id, clinic_id, received_at FROM monitored_refusal;

-- A sign of life of a clinic: a file of it that held intake forms, old or new, or one that named it in its rows.
CREATE OR REPLACE TEMP VIEW monitored_arrival AS
SELECT DISTINCT clinic_id, batch_id, received_at FROM monitored_form WHERE clinic_id <> '_unassigned'
UNION
SELECT f.clinic, f.batch_id, f.received_at
FROM intake_file f SEMI JOIN (SELECT batch_id FROM intake_ledger WHERE contents = 'intake') USING (batch_id)
WHERE f.clinic <> '';

-- The tier that each version of a record came to first: what the clinic was told when the form came in. A model put in
-- force later does not change it, so that a change of model shows as a change.
CREATE OR REPLACE TEMP VIEW monitored_tier AS
SELECT s.clinic_id, s.received_at, s.tier
FROM referral_score s SEMI JOIN intake_shown USING (clinic_id, record_id, intake_hash)
QUALIFY row_number() OVER (
    PARTITION BY s.clinic_id, s.record_id, s.intake_hash ORDER BY s.scored_at, s.rowid
) = 1;

-- The last word on each record that names a condition, and the score that the record had when a word on it first came
-- in: of the form that it names, else the newest submitted by then; of its scores the newest by then, else (form and
-- outcome came in together) the first.
CREATE OR REPLACE TEMP VIEW monitored_outcome AS
WITH last_word AS (
    SELECT clinic_id, record_id, submitted_at, recorded_at, received_at, attended, confirmed_condition, found_by,
           min(received_at) OVER (PARTITION BY clinic_id, record_id) AS known_at
    FROM outcome
    QUALIFY row_number() OVER (
        PARTITION BY clinic_id, record_id ORDER BY recorded_at DESC, received_at DESC, batch_id DESC, record_number DESC
    ) = 1
)
SELECT o.clinic_id, o.received_at, o.known_at, o.confirmed_condition, s.tier, s.differential, s.model_version,
       s.data_kind, coalesce(list_contains(s.special, 'child'), false) AS is_child
FROM last_word o
JOIN referral_score s ON s.clinic_id = o.clinic_id AND s.record_id = o.record_id
                     AND (s.submitted_at = o.submitted_at OR s.submitted_at <= o.recorded_at)
SEMI JOIN intake_shown v ON v.clinic_id = s.clinic_id AND v.record_id = s.record_id AND v.intake_hash = s.intake_hash
WHERE o.attended AND o.confirmed_condition IS NOT NULL AND o.found_by <> 'not_confirmed'
QUALIFY row_number() OVER (
    PARTITION BY o.clinic_id, o.record_id
    ORDER BY s.submitted_at = o.submitted_at DESC, s.submitted_at DESC, s.scored_at <= o.known_at DESC,
             if(s.scored_at <= o.known_at, s.scored_at, NULL) DESC NULLS LAST, s.scored_at, s.rowid
) = 1;
