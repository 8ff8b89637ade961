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
-- A record of a box.
INSERT INTO registry_edges (edge, epoch, software, births, forks, silences, silence_id, records, first_position,
    last_position, last_received_ns)
VALUES (:edge, :epoch, '', 0, 0, 0, '', :records, :position, :position, :received_ns)
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
-- A record of a device.
INSERT INTO registry_devices (device_id, edge, profile, device_class, systems, protocol, contract, display_name,
    display_name_en, place, liveness_s, state, state_ns, records, last_position, last_topic, last_occurred_ns,
    last_received_ns)
VALUES (:device_id, :edge, '', '', '', '', '', '', '', '', 0, 'UNKNOWN', 0, 1, :position, :topic, :occurred_ns,
    :received_ns)
ON CONFLICT (device_id) DO UPDATE SET records = registry_devices.records + 1, last_position = excluded.last_position,
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
