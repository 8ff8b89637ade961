-- Doors: what each said last, and how many passed it in each minute. Minutes are UTC, counted since 1970.
CREATE TABLE doors (
    device_id TEXT NOT NULL PRIMARY KEY,
    contact TEXT,
    lock TEXT,
    alarm TEXT,
    last_ns INTEGER,
    last_topic TEXT,
    last_tail TEXT,
    last_method TEXT,
    changed INTEGER NOT NULL
);

CREATE TABLE door_minutes (
    device_id TEXT NOT NULL,
    minute INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    denied INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    PRIMARY KEY (minute, device_id)
);
CREATE INDEX door_minutes_by_change ON door_minutes (changed);

-- The first minute that is still kept. One row.
CREATE TABLE door_horizon (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    minute INTEGER NOT NULL
);
