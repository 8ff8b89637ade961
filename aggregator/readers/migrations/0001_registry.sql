-- Positions of all readers, and the tables of the first: registry. Everything here can be thrown away and rebuilt.
CREATE TABLE positions (
    reader TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    event_id TEXT NOT NULL
);
CREATE TABLE reader_faults (
    reader TEXT NOT NULL,
    position INTEGER NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (reader, position)
);
CREATE TABLE registry_edges (
    edge TEXT NOT NULL PRIMARY KEY,
    epoch TEXT NOT NULL,
    software TEXT NOT NULL,
    births INTEGER NOT NULL,
    forks INTEGER NOT NULL,
    silences INTEGER NOT NULL,
    silence_id TEXT NOT NULL,
    records INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    last_received_ns INTEGER NOT NULL
);
CREATE TABLE registry_devices (
    device_id TEXT NOT NULL PRIMARY KEY,
    edge TEXT NOT NULL,
    profile TEXT NOT NULL,
    device_class TEXT NOT NULL,
    systems TEXT NOT NULL,
    protocol TEXT NOT NULL,
    contract TEXT NOT NULL,
    display_name TEXT NOT NULL,
    display_name_en TEXT NOT NULL,
    place TEXT NOT NULL,
    liveness_s INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_ns INTEGER NOT NULL,
    records INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    last_topic TEXT NOT NULL,
    last_occurred_ns INTEGER NOT NULL,
    last_received_ns INTEGER NOT NULL
);
CREATE INDEX registry_devices_by_edge ON registry_devices (edge);
