-- Views over the working warehouse.

-- What was not withdrawn: only this is scored and published.
CREATE OR REPLACE VIEW intake_shown AS
SELECT * FROM intake_valid ANTI JOIN withdrawn_record USING (clinic_id, record_id);

-- Every version of every record, newest first by time of submission; version 1 is the current one.
CREATE OR REPLACE VIEW intake_version AS
SELECT *, row_number() OVER (PARTITION BY clinic_id, record_id ORDER BY submitted_at DESC) AS version_rank
FROM intake_shown;

CREATE OR REPLACE VIEW intake_current AS SELECT * EXCLUDE (version_rank) FROM intake_version WHERE version_rank = 1;

-- From a referral to the file and the original text.
CREATE OR REPLACE VIEW intake_lineage AS
SELECT v.clinic_id, v.record_id, v.submitted_at, v.intake_hash, v.batch_id, v.record_number, f.sha256, f.received_at,
       f.original_name, r.record_text
FROM intake_shown v JOIN intake_file f USING (batch_id) JOIN intake_raw r USING (batch_id, record_number);

-- Batches whose bytes the archive has to hold: neither destroyed by an erasure nor purged by the settings.
CREATE OR REPLACE VIEW intake_archived AS
SELECT * FROM intake_file
WHERE batch_id NOT IN (SELECT batch_id FROM withdrawn_file WHERE destroyed UNION SELECT batch_id FROM purged_file);

-- Refused records that nobody has dealt with yet: not read in a replay, not dismissed, not withdrawn.
CREATE OR REPLACE VIEW intake_waiting AS
SELECT q.* FROM intake_quarantine q ANTI JOIN intake_release USING (batch_id, record_number)
WHERE NOT list_contains(list_transform(q.problems, lambda p: p.code), 'withdrawn')
  AND NOT EXISTS (
      SELECT 1 FROM withdrawn_record w JOIN intake_file f ON f.batch_id = q.batch_id
      WHERE w.record_id = q.record_id AND w.clinic_id IN (q.clinic_id, f.clinic)
  );

-- Files that were refused whole, are still, and are there to be tried again.
CREATE OR REPLACE VIEW intake_refused_file AS
SELECT * FROM intake_ledger r
WHERE event = 'refused' AND NOT EXISTS (SELECT 1 FROM intake_ledger l WHERE l.batch_id = r.batch_id AND l.event = 'replay')
  AND batch_id NOT IN (SELECT batch_id FROM withdrawn_file WHERE destroyed);

-- Of these, the files that still wait to be read: nobody has dealt with them (number 0 is the whole file), and nobody has
-- read these bytes from another folder, where one of the two names no clinic. Sent with and without a clinic, it waits once.
CREATE OR REPLACE VIEW intake_unread_file AS
SELECT r.* FROM intake_refused_file r JOIN intake_file f USING (batch_id)
WHERE batch_id NOT IN (SELECT batch_id FROM intake_release WHERE record_number = 0 UNION SELECT batch_id FROM purged_file)
  AND NOT EXISTS (
      SELECT 1 FROM intake_file o JOIN intake_ledger l ON l.batch_id = o.batch_id
      WHERE o.sha256 = f.sha256 AND o.batch_id <> f.batch_id
        AND (f.clinic = '' AND l.event IN ('arrival', 'refused', 'replay')
             OR o.clinic = '' AND l.event IN ('arrival', 'replay'))
  );

-- Versions that came in after a newer one of their record, and when they were kept.
CREATE OR REPLACE VIEW intake_late AS
SELECT v.clinic_id, v.record_id, v.submitted_at, k.kept_at
FROM (
    SELECT d.batch_id, d.record_number, l.happened_at AS kept_at
    FROM intake_disposition d JOIN intake_ledger l ON l.batch_id = d.batch_id AND l.contents = 'intake'
        AND l.received > 0 AND l.event IN ('arrival', 'replay')
    WHERE d.disposition = 'superseded'
    UNION ALL
    SELECT batch_id, record_number, released_at FROM intake_release WHERE disposition = 'superseded'
) k JOIN intake_valid v USING (batch_id, record_number);
