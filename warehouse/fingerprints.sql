-- Which clinics there are and a fingerprint of all that each one's published tables are made from, so that a clinic
-- is written again only when something of it changed. Read by warehouse/publication.py.

-- A refused record belongs to the clinic whose folder its file came from, else to the clinic it names. A refused row of
-- an outcome or decision file is no form that nobody read.
CREATE OR REPLACE TEMP TABLE unread_record AS
SELECT q.batch_id, q.record_number, coalesce(nullif(f.clinic, ''), q.clinic_id, '_unassigned') AS clinic_id,
       q.record_id, q.received_at, q.problems, f.sha256, f.data_kind
FROM intake_waiting q JOIN intake_file f USING (batch_id)
WHERE q.batch_id NOT IN (SELECT batch_id FROM intake_ledger WHERE contents <> 'intake');

CREATE OR REPLACE TEMP TABLE clinic_fingerprint AS
WITH parts AS (
    SELECT clinic_id, data_kind, hash('record', batch_id, record_number, intake_hash) AS part FROM intake_shown
    UNION ALL
    SELECT clinic_id, NULL, hash('score', intake_hash, scored_at, model_version, catalogue_version, rules_version,
                                 contract_version)
    FROM referral_score ANTI JOIN withdrawn_record USING (clinic_id, record_id)
    UNION ALL
    SELECT clinic_id, data_kind, hash('unread', batch_id, record_number) FROM unread_record
    UNION ALL
    SELECT r.clinic_id, NULL, hash('possible', batch_id, record_number, u.possible_tier, u.rules_version)
    FROM unread_form u JOIN unread_record r USING (batch_id, record_number)
    UNION ALL
    SELECT clinic_id, NULL, hash('decision', batch_id, record_number) FROM decision
    UNION ALL
    SELECT clinic_id, NULL, hash('outcome', batch_id, record_number) FROM outcome
)
SELECT clinic_id, concat(count(*), '.', sum(part)) AS content, list_sort(list_distinct(list(data_kind))) AS data_kinds
FROM parts GROUP BY clinic_id
-- a score or a decision without a record would make a clinic of its own
HAVING bool_or(data_kind IS NOT NULL);
