-- What becomes of each well-formed record of a batch, decided against all that arrived before it.
-- staged: keys of this batch's records that the contract accepted, which already stand in intake_valid.
-- Result: record_number, disposition.
CREATE OR REPLACE TEMP TABLE decided AS
WITH arrived AS (
    SELECT clinic_id, record_id, submitted_at, intake_hash, 0 AS record_number, true AS earlier
    FROM intake_valid
    SEMI JOIN staged USING (clinic_id, record_id)
    ANTI JOIN staged USING (batch_id, record_number)
    UNION ALL
    SELECT clinic_id, record_id, submitted_at, intake_hash, record_number, false FROM staged
),
compared AS (
    SELECT *,
        -- the record kept for this key and time: the one that came first
        first_value(intake_hash) OVER same_time AS kept_hash,
        row_number() OVER same_time AS place,
        -- the newest version of the key among all that came before this record
        max(submitted_at) OVER (
            PARTITION BY clinic_id, record_id ORDER BY earlier DESC, record_number
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS newest_before
    FROM arrived
    WINDOW same_time AS (PARTITION BY clinic_id, record_id, submitted_at ORDER BY earlier DESC, record_number)
)
SELECT record_number,
    CASE
        WHEN place > 1 AND intake_hash <> kept_hash THEN 'conflicting_version'
        WHEN place > 1 THEN 'duplicate'
        WHEN newest_before > submitted_at THEN 'superseded'
        ELSE 'accepted'
    END AS disposition
FROM compared
WHERE NOT earlier;
