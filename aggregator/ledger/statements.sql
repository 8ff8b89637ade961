-- Statements of the ledger. Ids (epoch, event_id, boot_id) are 16 bytes, hashes 32, chains and fingerprints 16.

-- name: head
-- The highest position given out.
SELECT value FROM counters WHERE name = 'position'

-- name: set_head
-- Moves the highest position; part of every transaction that inserts rows.
UPDATE counters SET value = :head WHERE name = 'position'

-- name: mark
-- Where one lane stands.
SELECT through, chain FROM watermarks WHERE edge = :edge AND epoch = :epoch AND lane = :lane

-- name: marks
-- Where all lanes of one epoch stand.
SELECT lane, through, chain FROM watermarks WHERE edge = :edge AND epoch = :epoch

-- name: set_mark
-- Moves one lane.
INSERT INTO watermarks (edge, epoch, lane, through, chain)
VALUES (:edge, :epoch, :lane, :through, :chain)
ON CONFLICT (edge, epoch, lane) DO UPDATE SET through = excluded.through, chain = excluded.chain

-- name: event_known
-- What stands under an event id.
SELECT position, hash FROM ledger WHERE event_id = :event_id

-- name: sources_known
-- What stands under a device's own number, in every device epoch.
SELECT source_epoch, fingerprint, position, occurred_ns FROM ledger
WHERE device_id = :device_id AND source_no = :source_no

-- name: series_max
-- The highest series time of a device in one millisecond.
SELECT max(series_time_ns) FROM ledger
WHERE device_id = :device_id AND series_time_ns >= :start_ns AND series_time_ns < :end_ns

-- name: source_top
-- The highest number a device has used in one of its spaces.
SELECT max(source_no) FROM ledger WHERE device_id = :device_id AND source_no >= :first AND source_no <= :last

-- name: series_top
-- The highest series time of a device.
SELECT max(series_time_ns) FROM ledger WHERE device_id = :device_id AND series_time_ns >= 0

-- name: insert_row
-- Adds one record.
INSERT INTO ledger (
    position, campus_id, edge, epoch, lane, seq, through, event_id, device_id, kind, topic, source_epoch, source_no,
    fingerprint, occurred_ns, received_ns, stamp_ns, mono_ns, boot_id, clock, error_ms, age_ns, historical,
    series_time_ns, hash, chain, body
) VALUES (
    :position, :campus_id, :edge, :epoch, :lane, :seq, :through, :event_id, :device_id, :kind, :topic, :source_epoch,
    :source_no, :fingerprint, :occurred_ns, :received_ns, :stamp_ns, :mono_ns, :boot_id, :clock, :error_ms,
    :age_ns, :historical, :series_time_ns, :hash, :chain, :body
)

-- name: insert_repeat
-- Notes that a number holds a record the ledger has already.
INSERT INTO repeats (edge, epoch, lane, seq, through, hash, chain, position, gap)
VALUES (:edge, :epoch, :lane, :seq, :through, :hash, :chain, :position, :gap)

-- name: insert_quarantined
-- Keeps the bytes of a number that could not become a row.
INSERT INTO quarantine (edge, epoch, lane, seq, reason, hash, chain, length, raw, received_ns)
VALUES (:edge, :epoch, :lane, :seq, :reason, :hash, :chain, :length, :raw, :received_ns)

-- name: widen_hour
-- Notes that a row that occurred in this hour lies at these positions, which are higher than all before.
INSERT INTO occurred_hours (hour, first_position, last_position)
VALUES (:hour, :first_position, :last_position)
ON CONFLICT (hour) DO UPDATE SET last_position = excluded.last_position

-- name: add_block
-- Notes that rows that pass a filter lie in a block of positions.
INSERT INTO ledger_blocks (filter, value, block) VALUES (:filter, :value, :block)
ON CONFLICT (filter, value, block) DO NOTHING

-- name: add_tally
-- Adds to a counter.
INSERT INTO tallies (edge, lane, name, value)
VALUES (:edge, :lane, :name, :value)
ON CONFLICT (edge, lane, name) DO UPDATE SET value = tallies.value + excluded.value

-- name: tallies
-- All counters.
SELECT edge, lane, name, value FROM tallies ORDER BY edge, lane, name

-- name: epochs
-- All epochs of an edge, in the order in which they were first seen.
SELECT edge, epoch, first_seen_ns, previous, reason, current FROM edge_epochs
WHERE edge = :edge ORDER BY first_seen_ns, epoch

-- name: retire_epochs
-- None of an edge's epochs is current; the next statement of the transaction names the one that is.
UPDATE edge_epochs SET current = 0 WHERE edge = :edge

-- name: enter_epoch
-- Makes an epoch the current one of its edge.
INSERT INTO edge_epochs (edge, epoch, first_seen_ns, previous, reason, current)
VALUES (:edge, :epoch, :first_seen_ns, :previous, :reason, :current)
ON CONFLICT (edge, epoch) DO UPDATE SET current = excluded.current

-- name: chain_at
-- The last link of a lane that begins at or before a number.
SELECT through, chain FROM (
    SELECT * FROM (
        SELECT seq, through, chain FROM ledger
        WHERE edge = :edge AND epoch = :epoch AND lane = :lane AND seq <= :seq ORDER BY seq DESC LIMIT 1
    ) AS l
    UNION ALL
    SELECT * FROM (
        SELECT seq, through, chain FROM repeats
        WHERE edge = :edge AND epoch = :epoch AND lane = :lane AND seq <= :seq ORDER BY seq DESC LIMIT 1
    ) AS r
    UNION ALL
    SELECT * FROM (
        SELECT seq, seq AS through, chain FROM quarantine
        WHERE edge = :edge AND epoch = :epoch AND lane = :lane AND seq <= :seq ORDER BY seq DESC LIMIT 1
    ) AS q
) AS links ORDER BY seq DESC LIMIT 1

-- name: links
-- The next links of a lane after a number, from everywhere a number can stand, for checking the chain.
SELECT seq, through, hash, chain, gap, body FROM (
    SELECT * FROM (
        SELECT seq, through, hash, chain, CASE WHEN kind = 'gap' THEN 1 ELSE 0 END AS gap, body FROM ledger
        WHERE edge = :edge AND epoch = :epoch AND lane = :lane AND seq > :after ORDER BY seq LIMIT :limit
    ) AS l
    UNION ALL
    SELECT * FROM (
        SELECT seq, through, hash, chain, gap, NULL AS body FROM repeats
        WHERE edge = :edge AND epoch = :epoch AND lane = :lane AND seq > :after ORDER BY seq LIMIT :limit
    ) AS r
    UNION ALL
    SELECT * FROM (
        SELECT seq, seq AS through, hash, chain, 0 AS gap, NULL AS body FROM quarantine
        WHERE edge = :edge AND epoch = :epoch AND lane = :lane AND seq > :after ORDER BY seq LIMIT :limit
    ) AS q
) AS links ORDER BY seq LIMIT :limit

-- name: rows_after
-- The next rows in order of position.
SELECT * FROM ledger WHERE position > :after ORDER BY position LIMIT :limit

-- name: row_of_event
-- The row of one event id.
SELECT * FROM ledger WHERE event_id = :event_id

-- name: span_of_hours
-- Between which positions everything lies that occurred in these hours, both inclusive.
SELECT min(first_position) AS first_position, max(last_position) AS last_position FROM occurred_hours
WHERE hour >= :first_hour AND hour <= :last_hour

-- name: blank
-- Takes the body out of a row and leaves everything else.
UPDATE ledger SET body = NULL WHERE position = :position AND body IS NOT NULL

-- name: quarantined
-- What was set aside last.
SELECT * FROM quarantine ORDER BY received_ns DESC, edge, epoch, lane, seq DESC LIMIT :limit
