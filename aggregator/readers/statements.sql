-- name: position
-- Where a reader stands.
SELECT position, event_id FROM positions WHERE reader = :reader;

-- name: set_position
-- In the same transaction as what was made of the rows up to it.
INSERT INTO positions (reader, position, event_id) VALUES (:reader, :position, :event_id)
ON CONFLICT (reader) DO UPDATE SET position = excluded.position, event_id = excluded.event_id;

-- name: fault
-- A row that a reader could not take; it is passed over and named.
INSERT INTO reader_faults (reader, position, cause) VALUES (:reader, :position, :cause)
ON CONFLICT (reader, position) DO UPDATE SET cause = excluded.cause;

-- name: forget_faults
-- A rebuild looks at every row anew.
DELETE FROM reader_faults WHERE reader = :reader;

-- name: count_faults
-- How many rows a reader passed over.
SELECT count(*) FROM reader_faults WHERE reader = :reader;

-- name: touch_edge
-- Records of a box.
INSERT INTO registry_edges (edge, epoch, software, births, forks, silences, silence_id, records, first_position,
    last_position, last_received_ns)
VALUES (:edge, :epoch, '', 0, 0, 0, '', :records, :first_position, :position, :received_ns)
ON CONFLICT (edge) DO UPDATE SET epoch = excluded.epoch, records = registry_edges.records + excluded.records,
    last_position = excluded.last_position, last_received_ns = excluded.last_received_ns;

-- name: edge_born
-- A box started.
UPDATE registry_edges SET births = births + 1, software = :software WHERE edge = :edge;

-- name: edge_silent
-- The campus said that a box is silent.
UPDATE registry_edges SET silence_id = :event_id WHERE edge = :edge;

-- name: edge_heard
-- The campus said that the silence of a box is over.
UPDATE registry_edges SET silence_id = '', silences = silences + 1 WHERE edge = :edge;

-- name: edge_forked
-- A box opened an epoch that the campus did not expect.
UPDATE registry_edges SET forks = forks + 1 WHERE edge = :edge;

-- name: touch_device
-- Records of a device.
INSERT INTO registry_devices (device_id, edge, profile, device_class, systems, protocol, contract, display_name,
    display_name_en, place, liveness_s, state, state_ns, records, last_position, last_topic, last_occurred_ns,
    last_received_ns)
VALUES (:device_id, :edge, '', '', '', '', '', '', '', '', 0, 'UNKNOWN', 0, :records, :position, :topic, :occurred_ns,
    :received_ns)
ON CONFLICT (device_id) DO UPDATE SET records = registry_devices.records + excluded.records, last_position = excluded.last_position,
    last_topic = excluded.last_topic, last_occurred_ns = excluded.last_occurred_ns,
    last_received_ns = excluded.last_received_ns;

-- name: describe_device
-- What a box says of a device at birth.
UPDATE registry_devices SET profile = :profile, device_class = :device_class, systems = :systems,
    protocol = :protocol, contract = :contract, display_name = :display_name, display_name_en = :display_name_en,
    place = :place, liveness_s = :liveness_s WHERE device_id = :device_id;

-- name: device_state
-- UP or DOWN, as the box sees it.
UPDATE registry_devices SET state = :state, state_ns = :received_ns WHERE device_id = :device_id;

-- name: edges
-- All boxes.
SELECT * FROM registry_edges ORDER BY edge;

-- name: devices
-- All devices.
SELECT * FROM registry_devices ORDER BY device_id;

-- name: clear_edges
-- Before a rebuild.
DELETE FROM registry_edges;

-- name: clear_devices
-- Before a rebuild.
DELETE FROM registry_devices;

-- name: set_door
-- What a door said in a batch of records. What it did not say stays; a passage gives way to a later one only.
INSERT INTO doors (device_id, contact, lock, alarm, last_ns, last_topic, last_tail, last_method, changed)
VALUES (:device_id, :contact, :lock, :alarm, :last_ns, :last_topic, :last_tail, :last_method, :changed)
ON CONFLICT (device_id) DO UPDATE SET
    contact = coalesce(excluded.contact, doors.contact),
    lock = coalesce(excluded.lock, doors.lock),
    alarm = coalesce(excluded.alarm, doors.alarm),
    last_topic = CASE WHEN excluded.last_ns >= coalesce(doors.last_ns, 0) THEN excluded.last_topic ELSE doors.last_topic END,
    last_tail = CASE WHEN excluded.last_ns >= coalesce(doors.last_ns, 0) THEN excluded.last_tail ELSE doors.last_tail END,
    last_method = CASE WHEN excluded.last_ns >= coalesce(doors.last_ns, 0) THEN excluded.last_method
        ELSE doors.last_method END,
    last_ns = CASE WHEN excluded.last_ns >= coalesce(doors.last_ns, 0) THEN excluded.last_ns ELSE doors.last_ns END,
    changed = excluded.changed;

-- name: add_minute
-- Passages at a door within one minute.
INSERT INTO door_minutes (device_id, minute, granted, denied, changed)
VALUES (:device_id, :minute, :granted, :denied, :changed)
ON CONFLICT (minute, device_id) DO UPDATE SET granted = door_minutes.granted + excluded.granted,
    denied = door_minutes.denied + excluded.denied, changed = excluded.changed;

-- name: door_horizon
-- From which minute on passages are counted.
SELECT minute FROM door_horizon WHERE id = 1;

-- name: set_door_horizon
-- It only moves on.
INSERT INTO door_horizon (id, minute) VALUES (1, :minute) ON CONFLICT (id) DO UPDATE SET minute = excluded.minute;

-- name: drop_minutes
-- What lies before the horizon.
DELETE FROM door_minutes WHERE minute < :minute;

-- name: changed_doors
-- Doors that said something after a position.
SELECT * FROM doors WHERE changed > :after;

-- name: changed_minutes
-- Minutes that were counted in after a position, from one minute on.
SELECT * FROM door_minutes WHERE changed > :after AND minute >= :since;

-- name: changed_devices
-- Devices that said something after a position.
SELECT device_id, edge, profile, display_name, display_name_en, place, state, state_ns, last_received_ns
FROM registry_devices WHERE last_position > :after;

-- name: known_edges
-- When each box was heard of last, as the ledger knows it.
SELECT edge, last_received_ns FROM registry_edges;

-- name: positions_of
-- Where the readers of the live page stand.
SELECT reader, position FROM positions;

-- name: clear_doors
-- Before a rebuild.
DELETE FROM doors;

-- name: clear_minutes
-- Before a rebuild.
DELETE FROM door_minutes;

-- name: clear_horizon
-- Before a rebuild.
DELETE FROM door_horizon;
