-- name: add_curve
-- A name that is seen for the first time.
INSERT INTO curves (measurement, campus, device, label) VALUES (:measurement, :campus, :device, :label)
ON CONFLICT (measurement, campus, device, label) DO NOTHING;

-- name: curve
-- The number of a name.
SELECT id FROM curves WHERE measurement = :measurement AND campus = :campus AND device = :device AND label = :label;

-- name: put
-- A point; writing it again changes nothing.
INSERT INTO points (curve, time_ns, value, text, quality) VALUES (:curve, :time_ns, :value, :text, :quality)
ON CONFLICT (curve, time_ns) DO UPDATE SET value = excluded.value, text = excluded.text, quality = excluded.quality;

-- name: roll
-- One stretch of one curve, anew from its points: a late point is in it like any other.
INSERT INTO rollups (curve, width_s, start_ns, n, minimum, maximum, total, first, last)
SELECT :curve, :width_s, :start_ns, count(*), min(value), max(value), sum(value),
       (SELECT value FROM points WHERE curve = :curve AND time_ns >= :start_ns AND time_ns < :end_ns
        AND value IS NOT NULL AND quality = 'good' ORDER BY time_ns LIMIT 1),
       (SELECT value FROM points WHERE curve = :curve AND time_ns >= :start_ns AND time_ns < :end_ns
        AND value IS NOT NULL AND quality = 'good' ORDER BY time_ns DESC LIMIT 1)
FROM points WHERE curve = :curve AND time_ns >= :start_ns AND time_ns < :end_ns AND value IS NOT NULL
  AND quality = 'good'
HAVING count(*) > 0
ON CONFLICT (curve, width_s, start_ns) DO UPDATE SET n = excluded.n, minimum = excluded.minimum,
    maximum = excluded.maximum, total = excluded.total, first = excluded.first, last = excluded.last;

-- name: curve_of
-- Every campus' curve of one device and label.
SELECT id FROM curves WHERE measurement = :measurement AND device = :device AND label = :label;

-- name: raw
-- Points of a curve between two times.
SELECT time_ns, value FROM points WHERE curve = :curve AND time_ns >= :from_ns AND time_ns < :until_ns
  AND value IS NOT NULL AND quality = 'good' ORDER BY time_ns;

-- name: rolled
-- Stretches of a curve between two times.
SELECT start_ns, n, minimum, maximum, total, first, last FROM rollups
WHERE curve = :curve AND width_s = :width_s AND start_ns >= :from_ns AND start_ns < :until_ns ORDER BY start_ns;

-- name: counts
-- Points by measurement.
SELECT curves.measurement AS measurement, count(*) AS n FROM points JOIN curves ON curves.id = points.curve
GROUP BY curves.measurement;

-- name: drop_points
-- Retention of what has been rolled up.
DELETE FROM points WHERE time_ns < :before_ns;

-- name: drop_rollups
-- Retention of stretches.
DELETE FROM rollups WHERE width_s = :width_s AND start_ns < :before_ns;

-- name: clear_points
-- Before a rebuild.
DELETE FROM points;

-- name: clear_rollups
-- Before a rebuild.
DELETE FROM rollups;
