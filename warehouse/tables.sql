-- The working warehouse. One process at a time opens it (warehouse.lock); readers use snapshots.
-- intake_valid and intake_unread carry the form's answers and are made from the form (warehouse/store.py).

CREATE TABLE IF NOT EXISTS warehouse_version (version INTEGER NOT NULL);

-- One row a source: (clinic folder, content). The only place that holds a file's own name.
CREATE TABLE IF NOT EXISTS intake_file (
    batch_id VARCHAR PRIMARY KEY,
    clinic VARCHAR NOT NULL,              -- '' where each row names its own clinic
    sha256 VARCHAR NOT NULL,
    original_name VARCHAR NOT NULL,
    data_kind VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    UNIQUE (clinic, sha256)
);

-- What happened to each batch, append-only; the arrival row is written with the batch's records or not at all.
CREATE TABLE IF NOT EXISTS intake_ledger (
    batch_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL,               -- arrival | refused | replay | withdrawal
    happened_at TIMESTAMPTZ NOT NULL,
    received BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    duplicate BIGINT NOT NULL,
    superseded BIGINT NOT NULL,
    warned BIGINT NOT NULL,
    unknown_columns INTEGER NOT NULL,
    refusal VARCHAR,                      -- code of schemas/problems.csv where the whole file was refused
    refusal_columns VARCHAR[] NOT NULL,   -- columns of the form that the refusal is about
    contract_version VARCHAR NOT NULL
);
ALTER TABLE intake_ledger ADD COLUMN IF NOT EXISTS contents VARCHAR DEFAULT 'intake';  -- or outcome, decision, safety_concern
ALTER TABLE intake_ledger ADD COLUMN IF NOT EXISTS read_as VARCHAR DEFAULT 'form';
ALTER TABLE intake_ledger ADD COLUMN IF NOT EXISTS set_aside BIGINT DEFAULT 0;
ALTER TABLE intake_ledger ADD COLUMN IF NOT EXISTS noted BIGINT DEFAULT 0;
ALTER TABLE intake_ledger ADD COLUMN IF NOT EXISTS withdrawn BIGINT DEFAULT 0;
ALTER TABLE intake_ledger ADD COLUMN IF NOT EXISTS refusal_place VARCHAR;  -- kind and place of an error of the program

-- Every mapping file that a batch was read with, as it was then.
CREATE TABLE IF NOT EXISTS intake_mapping (
    sha256 VARCHAR PRIMARY KEY,
    mapping VARCHAR NOT NULL,             -- name and version
    mapping_text VARCHAR NOT NULL,
    first_used_at TIMESTAMPTZ NOT NULL
);

-- Which mapping a batch was read with; no row where none was.
CREATE TABLE IF NOT EXISTS intake_read_with (
    batch_id VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    happened_at TIMESTAMPTZ NOT NULL
);

-- Each record's original text; record 0 is the header. The archive holds the same as bytes.
CREATE TABLE IF NOT EXISTS intake_raw (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    record_text VARCHAR NOT NULL
);

-- Fixed on arrival, one row a record.
CREATE TABLE IF NOT EXISTS intake_disposition (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    disposition VARCHAR NOT NULL          -- accepted | quarantined | duplicate | superseded
);

CREATE TABLE IF NOT EXISTS intake_warning (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    clinic_id VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    column_name VARCHAR                   -- or the id of the mapping's check
);

-- The free text of accepted and superseded records, for the clinicians of the treating clinic. A record of before this
-- table has none here, though its has_notes may be true.
CREATE TABLE IF NOT EXISTS intake_note (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    clinic_id VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    note VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS intake_quarantine (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    clinic_id VARCHAR,                    -- where it can be read
    record_id VARCHAR,                    -- where it can be read
    received_at TIMESTAMPTZ NOT NULL,
    contract_version VARCHAR NOT NULL,
    problems STRUCT(code VARCHAR, column_name VARCHAR, cell VARCHAR)[] NOT NULL
);

-- Records that left the quarantine, append-only; intake_quarantine keeps its row.
CREATE TABLE IF NOT EXISTS intake_release (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    released_at TIMESTAMPTZ NOT NULL,
    how VARCHAR NOT NULL,                 -- replayed | dismissed (record_number 0: a file that was refused whole)
    disposition VARCHAR,                  -- of a replayed record: accepted | duplicate | superseded
    by_name VARCHAR,                      -- of a dismissed record
    reason VARCHAR                        -- of a dismissed record, a code
);

-- What a refused record may still say (red-flag rules over its readable cells), per rules version.
CREATE TABLE IF NOT EXISTS unread_form (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    possible_tier VARCHAR,
    possible_red_flags VARCHAR[] NOT NULL,
    rules_version VARCHAR NOT NULL
);

-- Who changed which model is in force, append-only, entered before the change itself (warehouse/model_history.py).
CREATE TABLE IF NOT EXISTS model_change (
    change_number INTEGER PRIMARY KEY,
    kind VARCHAR NOT NULL,                -- promote | rollback | suspend | resume
    happened_at TIMESTAMPTZ NOT NULL,
    by_name VARCHAR NOT NULL,
    second_name VARCHAR,                  -- of a promotion only
    reason VARCHAR NOT NULL,
    from_version VARCHAR NOT NULL,
    from_suspended BOOLEAN NOT NULL,
    to_version VARCHAR NOT NULL,
    to_suspended BOOLEAN NOT NULL,
    snapshot_before VARCHAR,
    gates VARCHAR NOT NULL                -- what a promotion was let through on, as JSON; [] for the others
);

-- The first snapshot that holds a change, append-only; a change without a row here waits to be published.
CREATE TABLE IF NOT EXISTS model_change_published (
    change_number INTEGER PRIMARY KEY,
    snapshot_after VARCHAR NOT NULL,
    published_at TIMESTAMPTZ NOT NULL
);

-- withdrawal
-- Who took which record back, append-only and without identity (warehouse/withdrawing/withdrawal.py).
CREATE TABLE IF NOT EXISTS withdrawal (
    withdrawal_number INTEGER PRIMARY KEY,
    happened_at TIMESTAMPTZ NOT NULL,
    how VARCHAR NOT NULL,                 -- restrict | erase | lift
    by_name VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,              -- a code
    clinic_id VARCHAR NOT NULL,
    keyed_hash VARCHAR NOT NULL,          -- of the record or the person that was named (warehouse/withdrawing/withdrawn.py)
    shown_under VARCHAR[] NOT NULL,       -- clinics whose published tables held something of it
    records BIGINT NOT NULL,
    arrivals BIGINT NOT NULL,             -- records of files: versions, duplicates, refused ones
    files BIGINT NOT NULL
);

-- What came after, append-only: a withdrawal without a row 'ended' is gone on with by the next publication.
CREATE TABLE IF NOT EXISTS withdrawal_step (
    withdrawal_number INTEGER NOT NULL,
    step VARCHAR NOT NULL,                -- rebuilt | ended
    done_at TIMESTAMPTZ NOT NULL,
    snapshot_id VARCHAR                   -- of 'ended': the first snapshot without it
);

-- Records that are kept and shown to nobody.
CREATE TABLE IF NOT EXISTS withdrawn_record (
    clinic_id VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    how VARCHAR NOT NULL,                 -- restrict
    since TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (clinic_id, record_id)
);

-- What must not come back, as keyed hashes; without the home's withdrawal.key they say nothing.
CREATE TABLE IF NOT EXISTS withdrawn_key (
    clinic_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,                -- record | person | text | check
    keyed_hash VARCHAR NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    withdrawal_number INTEGER             -- which one it belongs to; none for 'check'
);

-- Records that the archived file of their batch still holds and has to lose; number 0 stands for the whole file.
CREATE TABLE IF NOT EXISTS withdrawn_arrival (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL
);

-- Files as they were before they lost a record: the same bytes again are still no news, and are not kept.
CREATE TABLE IF NOT EXISTS withdrawn_file (
    clinic VARCHAR NOT NULL,              -- as in intake_file
    batch_id VARCHAR NOT NULL,
    keyed_hash VARCHAR NOT NULL,          -- of the old file's SHA-256
    destroyed BOOLEAN NOT NULL            -- true: no file is left, and intake_file keeps the old SHA-256
);

-- follow-up
-- Rows of outcome, decision and safety concern files as their contracts accepted them (schemas/outcomes.py,
-- schemas/decisions.py, schemas/safety_concerns.py), each version of each: of outcomes and decisions the newest by its
-- own time stands, of concerns every one. content_hash is over all that a row says.
CREATE TABLE IF NOT EXISTS outcome (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    content_hash VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    clinic_id VARCHAR NOT NULL,
    submitted_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    attended BOOLEAN NOT NULL,
    confirmed_condition VARCHAR,
    also_confirmed VARCHAR,               -- at most two ids, ';' between
    found_by VARCHAR,
    differential_seen_before VARCHAR,
    harm VARCHAR,
    harm_related VARCHAR,
    tier_in_hindsight VARCHAR
);

CREATE TABLE IF NOT EXISTS decision (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    content_hash VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    clinic_id VARCHAR NOT NULL,
    submitted_at TIMESTAMPTZ,             -- of the form version that was on the screen
    decided_at TIMESTAMPTZ NOT NULL,
    decided_by VARCHAR NOT NULL,
    status VARCHAR,
    decided_tier VARCHAR,
    reason VARCHAR                        -- a code of schemas/decision_form.csv
);

CREATE TABLE IF NOT EXISTS safety_concern (
    batch_id VARCHAR NOT NULL,
    record_number BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    content_hash VARCHAR NOT NULL,
    record_id VARCHAR,                    -- none: about the program as a whole
    clinic_id VARCHAR NOT NULL,
    submitted_at TIMESTAMPTZ,             -- of the form version that was on the screen
    reported_at TIMESTAMPTZ NOT NULL,
    reported_by VARCHAR NOT NULL,
    concern VARCHAR NOT NULL              -- a code of schemas/safety_concern_form.csv
);

-- audit
-- Every change, append-only, written in the transaction that makes it and chained by hash (warehouse/audit.py).
CREATE TABLE IF NOT EXISTS audit (
    entry_number BIGINT PRIMARY KEY,
    happened_at VARCHAR NOT NULL,         -- ISO 8601, UTC: hashed as it stands
    event VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,             -- batch, model version, snapshot or number of a withdrawal
    by_name VARCHAR NOT NULL,
    second_name VARCHAR,
    reason VARCHAR NOT NULL,
    versions VARCHAR NOT NULL,            -- JSON
    counts VARCHAR NOT NULL,              -- JSON
    previous_hash VARCHAR NOT NULL,
    entry_hash VARCHAR NOT NULL
);

-- retention
-- Batches whose archived bytes were removed because they were older than the settings keep (warehouse/retention.py).
CREATE TABLE IF NOT EXISTS purged_file (
    batch_id VARCHAR PRIMARY KEY,
    purged_at TIMESTAMPTZ NOT NULL
);

-- shadow
-- Which model or knowledge scores beside what is in force, append-only (warehouse/shadow.py). Nothing of these tables is
-- published.
CREATE TABLE IF NOT EXISTS shadow_run (
    run_number INTEGER PRIMARY KEY,
    started_at TIMESTAMPTZ NOT NULL,
    by_name VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    model_version VARCHAR                 -- none where the model in force is kept
);

-- The files of knowledge that a run has in place of the release's own, as they were then.
CREATE TABLE IF NOT EXISTS shadow_file (
    run_number INTEGER NOT NULL,
    path VARCHAR NOT NULL,                -- below models/knowledge
    content BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS shadow_run_ended (
    run_number INTEGER PRIMARY KEY,
    ended_at TIMESTAMPTZ NOT NULL,
    by_name VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    records BIGINT NOT NULL               -- that it had scored
);

-- Scores of the run that has not ended; they go when it ends.
CREATE TABLE IF NOT EXISTS shadow_score (
    clinic_id VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    submitted_at TIMESTAMPTZ NOT NULL,
    intake_hash VARCHAR NOT NULL,
    scored_at TIMESTAMPTZ NOT NULL,
    tier VARCHAR NOT NULL,
    clock_hours DOUBLE,
    priority_score DOUBLE,
    needs_review BOOLEAN NOT NULL,
    model_version VARCHAR NOT NULL,
    catalogue_version VARCHAR NOT NULL,
    rules_version VARCHAR NOT NULL,
    contract_version VARCHAR NOT NULL
);
