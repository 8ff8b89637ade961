-- name: alarm
-- One alarm.
SELECT * FROM alarms WHERE id = :id;

-- name: last_of_source
-- The alarm that was raised last for one kind and source.
SELECT * FROM alarms WHERE kind = :kind AND source = :source ORDER BY opened DESC LIMIT 1;

-- name: set_alarm
-- An alarm as it is now.
INSERT INTO alarms (id, kind, source, state, round, count, first_ns, last_ns, cleared_ns, historical, conditions,
    opened, changed, acked_by, acked_ns, resolved_by, resolved_ns, cause, note)
VALUES (:id, :kind, :source, :state, :round, :count, :first_ns, :last_ns, :cleared_ns, :historical, :conditions,
    :opened, :changed, :acked_by, :acked_ns, :resolved_by, :resolved_ns, :cause, :note)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, round = excluded.round, count = excluded.count,
    last_ns = excluded.last_ns, cleared_ns = excluded.cleared_ns, historical = excluded.historical,
    conditions = excluded.conditions, changed = excluded.changed, acked_by = excluded.acked_by,
    acked_ns = excluded.acked_ns, resolved_by = excluded.resolved_by, resolved_ns = excluded.resolved_ns,
    cause = excluded.cause, note = excluded.note;

-- name: add_step
-- Opened, opened again, acknowledged or resolved.
INSERT INTO alarm_steps (alarm, position, step, at_ns, operator, cause, note)
VALUES (:alarm, :position, :step, :at_ns, :operator, :cause, :note)
ON CONFLICT (alarm, position) DO NOTHING;

-- name: steps
-- What happened to one alarm, oldest first.
SELECT * FROM alarm_steps WHERE alarm = :alarm ORDER BY position LIMIT 1000;

-- name: open_alarms
-- What is not resolved; the newest first.
SELECT * FROM alarms WHERE state IN ('new', 'acked') ORDER BY opened DESC, id LIMIT :limit;

-- name: open_counts
-- How many of each kind are not resolved.
SELECT kind, state, COUNT(*) AS alarms FROM alarms WHERE state IN ('new', 'acked') GROUP BY kind, state;

-- name: last_resolved
-- What was settled last; the newest first.
SELECT * FROM alarms WHERE state = 'resolved' ORDER BY changed DESC, id LIMIT :limit;

-- name: changed_alarms
-- What changed after a position, in the order of the changes.
SELECT * FROM alarms WHERE changed > :after ORDER BY changed, id LIMIT :limit;

-- name: page
-- Newest first, beyond the place where the page before ended. first, second: states, of which each may be the same.
SELECT * FROM alarms
WHERE state IN (:first, :second, :third) AND (opened < :opened OR (opened = :opened AND id > :id))
ORDER BY opened DESC, id LIMIT :limit;

-- name: denials
-- When a source refused somebody lately.
SELECT moments FROM alarm_denials WHERE source = :source;

-- name: set_denials
-- The same, after a batch.
INSERT INTO alarm_denials (source, moments) VALUES (:source, :moments)
ON CONFLICT (source) DO UPDATE SET moments = excluded.moments;

-- name: clear_denials
-- Before a rebuild.
DELETE FROM alarm_denials;

-- name: clear_alarms
-- Before a rebuild.
DELETE FROM alarms;

-- name: clear_steps
-- Before a rebuild.
DELETE FROM alarm_steps;
