-- Alarms, and what happened to each. Made by a reader of the ledger; can be thrown away and rebuilt.
CREATE TABLE alarms (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    round INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    cleared_ns INTEGER,
    historical INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    opened INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    acked_by TEXT NOT NULL,
    acked_ns INTEGER,
    resolved_by TEXT NOT NULL,
    resolved_ns INTEGER,
    cause TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE INDEX alarms_by_source ON alarms (kind, source, opened);
CREATE INDEX alarms_by_state ON alarms (state, opened, id);
CREATE INDEX alarms_by_opening ON alarms (opened, id);
CREATE INDEX alarms_by_change ON alarms (changed);

-- When each source refused somebody lately; as few moments as do not make an alarm.
CREATE TABLE alarm_denials (
    source TEXT NOT NULL PRIMARY KEY,
    moments TEXT NOT NULL
);

CREATE TABLE alarm_steps (
    alarm TEXT NOT NULL,
    position INTEGER NOT NULL,
    step TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    operator TEXT NOT NULL,
    cause TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (alarm, position)
);
