-- Views over the working warehouse.

-- Every version of every record, newest first by time of submission; version 1 is the current one.
CREATE OR REPLACE VIEW intake_version AS
SELECT *, row_number() OVER (PARTITION BY clinic_id, record_id ORDER BY submitted_at DESC) AS version_rank
FROM intake_valid;

CREATE OR REPLACE VIEW intake_current AS SELECT * EXCLUDE (version_rank) FROM intake_version WHERE version_rank = 1;

-- From a referral to the file and the original text.
CREATE OR REPLACE VIEW intake_lineage AS
SELECT v.clinic_id, v.record_id, v.submitted_at, v.intake_hash, v.batch_id, v.record_number, f.sha256, f.received_at,
       f.original_name, r.record_text
FROM intake_valid v JOIN intake_file f USING (batch_id) JOIN intake_raw r USING (batch_id, record_number);
