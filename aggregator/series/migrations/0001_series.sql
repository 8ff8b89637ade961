-- Names once, so that a row of a curve is small.
CREATE TABLE curves (
  id          INTEGER PRIMARY KEY,
  measurement TEXT NOT NULL,
  campus      TEXT NOT NULL,
  device      TEXT NOT NULL,
  label       TEXT NOT NULL,
  UNIQUE (measurement, campus, device, label)
);

-- Every point as it came: one row each. value: a number or a truth value; text: a state; fields: what an event carries.
CREATE TABLE points (
  curve   INTEGER NOT NULL,
  time_ns BIGINT NOT NULL,
  value   DOUBLE PRECISION,
  text    TEXT,
  quality TEXT,
  PRIMARY KEY (curve, time_ns)
) WITHOUT ROWID;

-- Stretches of a minute and of an hour, made from the points and kept longer than they are.
CREATE TABLE rollups (
  curve    INTEGER NOT NULL,
  width_s  INTEGER NOT NULL,
  start_ns BIGINT NOT NULL,
  n        INTEGER NOT NULL,
  minimum  DOUBLE PRECISION NOT NULL,
  maximum  DOUBLE PRECISION NOT NULL,
  total    DOUBLE PRECISION NOT NULL,
  first    DOUBLE PRECISION NOT NULL,
  last     DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (curve, width_s, start_ns)
) WITHOUT ROWID;
