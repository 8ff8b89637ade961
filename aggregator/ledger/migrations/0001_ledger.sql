-- One row per record. position is given by the program inside the one writing transaction (counter `position`),
-- never by the database: a sequence leaves holes at every rollback.
CREATE TABLE ledger (
    position INTEGER PRIMARY KEY,
    campus_id TEXT NOT NULL,
    edge TEXT NOT NULL,
    epoch BLOB NOT NULL,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    through INTEGER NOT NULL,
    event_id BLOB NOT NULL UNIQUE,
    device_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    source_epoch INTEGER,
    source_no INTEGER,
    fingerprint BLOB,
    occurred_ns INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    stamp_ns INTEGER NOT NULL,
    mono_ns INTEGER NOT NULL,
    boot_id BLOB NOT NULL,
    clock TEXT NOT NULL,
    error_ms INTEGER NOT NULL,
    age_ns INTEGER,
    historical INTEGER NOT NULL,
    series_time_ns INTEGER,
    hash BLOB NOT NULL,
    chain BLOB NOT NULL,
    body BLOB,
    UNIQUE (edge, epoch, lane, seq)
) STRICT;

CREATE UNIQUE INDEX ledger_by_source ON ledger (device_id, source_no, source_epoch) WHERE source_no IS NOT NULL;
CREATE UNIQUE INDEX ledger_by_series_time ON ledger (device_id, series_time_ns) WHERE series_time_ns IS NOT NULL;

-- For every value of a filter of a page, in which blocks of 64 positions such rows lie. A page reads the blocks of its
-- filter and tests their rows. An index for each filter would be six more entries a record, and each of them changes a
-- page of the disk of its own; here most records add nothing.
CREATE TABLE ledger_blocks (
    filter TEXT NOT NULL,
    value TEXT NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (filter, value, block)
) STRICT, WITHOUT ROWID;

-- For every hour in which something occurred, between which positions its rows lie. Late records widen it.
CREATE TABLE occurred_hours (
    hour INTEGER PRIMARY KEY,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL
) STRICT;

CREATE TABLE watermarks (
    edge TEXT NOT NULL,
    epoch BLOB NOT NULL,
    lane TEXT NOT NULL,
    through INTEGER NOT NULL,
    chain BLOB NOT NULL,
    PRIMARY KEY (edge, epoch, lane)
) STRICT;

CREATE TABLE edge_epochs (
    edge TEXT NOT NULL,
    epoch BLOB NOT NULL,
    first_seen_ns INTEGER NOT NULL,
    previous BLOB,
    reason TEXT NOT NULL,
    current INTEGER NOT NULL,
    PRIMARY KEY (edge, epoch)
) STRICT;

-- Numbers whose record stands in the ledger already, under another number.
CREATE TABLE repeats (
    edge TEXT NOT NULL,
    epoch BLOB NOT NULL,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    through INTEGER NOT NULL,
    hash BLOB NOT NULL,
    chain BLOB NOT NULL,
    position INTEGER NOT NULL,
    gap INTEGER NOT NULL,
    PRIMARY KEY (edge, epoch, lane, seq)
) STRICT;

-- Numbers whose bytes could not become a row.
CREATE TABLE quarantine (
    edge TEXT NOT NULL,
    epoch BLOB NOT NULL,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    hash BLOB NOT NULL,
    chain BLOB NOT NULL,
    length INTEGER NOT NULL,
    raw BLOB NOT NULL,
    received_ns INTEGER NOT NULL,
    PRIMARY KEY (edge, epoch, lane, seq)
) STRICT;

CREATE TABLE tallies (
    edge TEXT NOT NULL,
    lane TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (edge, lane, name)
) STRICT;

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

INSERT INTO counters (name, value) VALUES ('position', 0);
