-- What a filter by condition looks for: the likeliest three and what cannot be excluded.
CREATE TABLE likely AS
SELECT clinic_id, record_id,
       list_concat([differential[1].condition, differential[2].condition, differential[3].condition], prediction_set)
           AS conditions
FROM referrals;
