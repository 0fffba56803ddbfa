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
    event VARCHAR NOT NULL,               -- arrival | refused
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
    column_name VARCHAR
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
