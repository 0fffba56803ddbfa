-- What becomes of each accepted row of an outcome, decision or safety concern file, decided against all that arrived
-- before it, and what is odd about the record it names. {table}: that of its kind; {time}: its column of the time it was
-- made; {first}, {second}: whether a row speaks about the first and the second matter of its kind (status and tier);
-- {subject}: the columns in which a row has to agree with another one to replace or contradict it.
-- staged_follow_up: this batch's rows that the contract accepted. Results: decided_row, odd_row.
CREATE OR REPLACE TEMP TABLE decided_row AS
WITH arrived AS (
    SELECT clinic_id, record_id, {time} AS made_at, content_hash, {first} AS on_first, {second} AS on_second,
           0 AS record_number, true AS earlier
    FROM {table} SEMI JOIN staged_follow_up USING ({subject})
    UNION ALL
    SELECT clinic_id, record_id, {time}, content_hash, {first}, {second}, record_number, false FROM staged_follow_up
),
placed AS (
    SELECT *, row_number() OVER (
        PARTITION BY {subject}, made_at ORDER BY earlier DESC, record_number
    ) AS place
    FROM arrived
),
compared AS (
    SELECT *,
        -- the row kept for this subject, time and matter: the one that came first
        arg_min(content_hash, place) FILTER (on_first) OVER same_time AS first_hash,
        arg_min(content_hash, place) FILTER (on_second) OVER same_time AS second_hash,
        min(place) FILTER (on_first) OVER same_time AS first_place,
        min(place) FILTER (on_second) OVER same_time AS second_place,
        max(made_at) OVER (
            PARTITION BY {subject} ORDER BY earlier DESC, record_number
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS newest_before
    FROM placed
    WINDOW same_time AS (PARTITION BY {subject}, made_at)
)
SELECT record_number,
    CASE
        WHEN (on_first AND content_hash <> first_hash) OR (on_second AND content_hash <> second_hash)
            THEN 'conflicting_version'
        WHEN (on_first AND place > first_place) OR (on_second AND place > second_place) THEN 'duplicate'
        WHEN newest_before > made_at THEN 'superseded'
        ELSE 'accepted'
    END AS disposition
FROM compared
WHERE NOT earlier;

-- The form may arrive later, so its absence is told and refuses nothing. A concern about the program names no record.
CREATE OR REPLACE TEMP TABLE odd_row AS
SELECT s.record_number, s.clinic_id, s.record_id,
       if(bool_or(v.record_id IS NOT NULL), 'no_such_version', 'no_such_record') AS code
FROM staged_follow_up s LEFT JOIN intake_valid v USING (clinic_id, record_id)
WHERE s.record_id IS NOT NULL
GROUP BY s.record_number, s.clinic_id, s.record_id, s.submitted_at
HAVING NOT bool_or(v.record_id IS NOT NULL)
    OR (s.submitted_at IS NOT NULL AND NOT bool_or(v.submitted_at = s.submitted_at));
