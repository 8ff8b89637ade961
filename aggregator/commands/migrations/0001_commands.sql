-- How every command stands. Made from the ledger; can be thrown away and made again.
CREATE TABLE commands (
  command_id TEXT NOT NULL PRIMARY KEY,
  position   BIGINT NOT NULL,
  group_id   TEXT NOT NULL,
  device     TEXT NOT NULL,
  edge       TEXT NOT NULL,
  name       TEXT NOT NULL,
  operator   TEXT NOT NULL,
  reason     TEXT NOT NULL,
  arguments  TEXT NOT NULL,
  lease      TEXT NOT NULL,
  session    TEXT NOT NULL,
  epoch      TEXT NOT NULL,
  asked_ns   BIGINT NOT NULL,
  state      TEXT NOT NULL,
  result     TEXT NOT NULL,
  end_reason TEXT NOT NULL,
  end_ns     BIGINT,
  conflicts  BIGINT NOT NULL
);

CREATE INDEX commands_open ON commands (edge, position) WHERE state <> 'settled';

CREATE INDEX commands_position ON commands (position);

-- Answers that were given to a key, so that the same request gives the same answer and is carried out once.
CREATE TABLE command_keys (
  caller     TEXT NOT NULL,
  key        TEXT NOT NULL,
  request    TEXT NOT NULL,
  answer     TEXT NOT NULL,
  created_ns BIGINT NOT NULL,
  PRIMARY KEY (caller, key)
);
