-- One row per record, clustered by lane and number. key = lane << 56 | seq.
-- A GAP row stands for a run of dropped records: gap = how many, through = last number of the run, body = why and when.
-- digest = first 8 bytes of SHA-256(body): what a row is verified by when its neighbours are lost.
-- event_id is kept where something asks for it: not for telemetry, whose index would cost more than the rows.
CREATE TABLE record (
  key          INTEGER PRIMARY KEY,
  event_id     BLOB,
  device       INTEGER,
  record_no    INTEGER,
  source_epoch INTEGER,
  print        BLOB,
  through      INTEGER,
  gap          INTEGER,
  digest       BLOB NOT NULL,
  chain        BLOB NOT NULL,
  body         BLOB NOT NULL
);

CREATE UNIQUE INDEX record_event ON record (event_id) WHERE event_id IS NOT NULL;

CREATE UNIQUE INDEX record_source ON record (device, record_no, source_epoch) WHERE record_no IS NOT NULL;

-- The book: heads, counters and identity, one JSON document written in every transaction.
CREATE TABLE state (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  body   BLOB NOT NULL,
  digest BLOB NOT NULL
);

-- Short numbers for device names, and how far each device has counted.
CREATE TABLE device (
  id     INTEGER PRIMARY KEY,
  body   BLOB NOT NULL,
  digest BLOB NOT NULL
);

-- Everything of a lane through seq was acknowledged when the box had run for run_ns.
CREATE TABLE ack_mark (
  lane   INTEGER NOT NULL,
  seq    INTEGER NOT NULL,
  run_ns INTEGER NOT NULL,
  PRIMARY KEY (lane, seq)
) WITHOUT ROWID;

CREATE TABLE quarantine (
  id      INTEGER PRIMARY KEY,
  device  TEXT NOT NULL,
  reason  TEXT NOT NULL,
  wall_ns INTEGER NOT NULL,
  run_ns  INTEGER NOT NULL,
  head    BLOB NOT NULL,
  sha256  BLOB NOT NULL,
  length  INTEGER NOT NULL
);
