-- Which clinics there are and a fingerprint of all that each one's published tables are made from, so that a clinic
-- is written again only when something of it changed. Read by warehouse/publication.py.

-- A refused row belongs to the clinic whose folder its file came from, else to the clinic it names.
CREATE OR REPLACE TEMP TABLE unread_row AS
SELECT q.batch_id, q.record_number, coalesce(nullif(f.clinic, ''), q.clinic_id, '_unassigned') AS clinic_id,
       q.record_id, q.received_at, list_distinct(list_transform(q.problems, lambda p: p.code)).list_sort() AS error_codes,
       f.sha256, f.data_kind, coalesce(c.contents, 'intake') AS contents
FROM intake_waiting q
JOIN intake_file f USING (batch_id)
LEFT JOIN (
    SELECT batch_id, max(contents) AS contents FROM intake_ledger WHERE contents <> 'intake' GROUP BY batch_id
) c USING (batch_id);

-- A refused row of an outcome, decision or safety concern file is no form that nobody read.
CREATE OR REPLACE TEMP VIEW unread_record AS SELECT * FROM unread_row WHERE contents = 'intake';

-- A file of which nothing could be read belongs to the clinic whose folder it came from.
CREATE OR REPLACE TEMP TABLE refused_file AS
SELECT batch_id, coalesce(nullif(f.clinic, ''), '_unassigned') AS clinic_id, r.refusal, f.received_at, f.sha256,
       f.data_kind
FROM intake_unread_file r JOIN intake_file f USING (batch_id);

CREATE OR REPLACE TEMP TABLE clinic_fingerprint AS
WITH parts AS (
    SELECT clinic_id, data_kind, hash('record', batch_id, record_number, intake_hash) AS part FROM intake_shown
    UNION ALL
    SELECT clinic_id, NULL, hash('score', intake_hash, scored_at, model_version, catalogue_version, rules_version,
                                 contract_version)
    FROM referral_score ANTI JOIN withdrawn_record USING (clinic_id, record_id)
    UNION ALL
    SELECT clinic_id, data_kind, hash('unread', contents, batch_id, record_number, record_id, error_codes, sha256)
    FROM unread_row
    UNION ALL
    SELECT clinic_id, data_kind, hash('refused file', batch_id, refusal) FROM refused_file
    UNION ALL
    SELECT r.clinic_id, NULL, hash('possible', batch_id, record_number, u.possible_tier, u.rules_version)
    FROM unread_form u JOIN unread_record r USING (batch_id, record_number)
    UNION ALL
    -- with the file's own hash: a file that lost a record is another file
    SELECT clinic_id, NULL, hash('decision', batch_id, record_number, sha256)
    FROM decision JOIN intake_file USING (batch_id) ANTI JOIN withdrawn_record USING (clinic_id, record_id)
    UNION ALL
    SELECT clinic_id, NULL, hash('outcome', batch_id, record_number, sha256)
    FROM outcome JOIN intake_file USING (batch_id) ANTI JOIN withdrawn_record USING (clinic_id, record_id)
    UNION ALL
    -- a concern has to be seen, also that of a clinic that has no record yet
    SELECT c.clinic_id, f.data_kind, hash('safety concern', batch_id, record_number, sha256)
    FROM safety_concern c JOIN intake_file f USING (batch_id) ANTI JOIN withdrawn_record USING (clinic_id, record_id)
)
SELECT clinic_id, concat(count(*), '.', sum(part)) AS content, list_sort(list_distinct(list(data_kind))) AS data_kinds
FROM parts GROUP BY clinic_id
-- a score or a decision without a record would make a clinic of its own
HAVING bool_or(data_kind IS NOT NULL);
