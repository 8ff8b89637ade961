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

-- name: roll_points
-- One minute of one curve, anew from its points: a late point is in it like any other.
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

-- name: roll_stretches
-- One hour of one curve, anew from its minutes: from its points it would cost more with each that the hour has.
INSERT INTO rollups (curve, width_s, start_ns, n, minimum, maximum, total, first, last)
SELECT :curve, :width_s, :start_ns, sum(n), min(minimum), max(maximum), sum(total),
       (SELECT first FROM rollups WHERE curve = :curve AND width_s = :from_width_s AND start_ns >= :start_ns
        AND start_ns < :end_ns ORDER BY start_ns LIMIT 1),
       (SELECT last FROM rollups WHERE curve = :curve AND width_s = :from_width_s AND start_ns >= :start_ns
        AND start_ns < :end_ns ORDER BY start_ns DESC LIMIT 1)
FROM rollups WHERE curve = :curve AND width_s = :from_width_s AND start_ns >= :start_ns AND start_ns < :end_ns
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

-- name: curves
-- Every curve there is.
SELECT id FROM curves ORDER BY id;

-- name: horizons
-- Up to where each width was forgotten.
SELECT width_s, before_ns FROM horizons;

-- name: set_horizon
-- Never back: what is gone is gone.
INSERT INTO horizons (width_s, before_ns) VALUES (:width_s, :before_ns)
ON CONFLICT (width_s) DO UPDATE SET before_ns = excluded.before_ns WHERE excluded.before_ns > horizons.before_ns;

-- name: has_point
-- Whether a point is there already.
SELECT 1 FROM points WHERE curve = :curve AND time_ns = :time_ns;

-- name: add_to_stretch
-- A point so late that the others of its stretch are gone: first stays, since nobody knows which was earlier.
INSERT INTO rollups (curve, width_s, start_ns, n, minimum, maximum, total, first, last)
VALUES (:curve, :width_s, :start_ns, 1, :value, :value, :value, :value, :value)
ON CONFLICT (curve, width_s, start_ns) DO UPDATE SET n = rollups.n + 1,
    minimum = CASE WHEN excluded.minimum < rollups.minimum THEN excluded.minimum ELSE rollups.minimum END,
    maximum = CASE WHEN excluded.maximum > rollups.maximum THEN excluded.maximum ELSE rollups.maximum END,
    total = rollups.total + excluded.total;

-- name: drop_points
-- Retention of what has been rolled up, a bounded number at a time: others want to write, too.
DELETE FROM points WHERE curve = :curve AND time_ns IN
  (SELECT time_ns FROM points WHERE curve = :curve AND time_ns < :before_ns ORDER BY time_ns LIMIT :rows);

-- name: drop_rollups
-- Retention of stretches.
DELETE FROM rollups WHERE curve = :curve AND width_s = :width_s AND start_ns < :before_ns;

-- name: clear_points
-- Before a rebuild.
DELETE FROM points;

-- name: clear_rollups
-- Before a rebuild.
DELETE FROM rollups;

-- name: clear_horizons
-- Before a rebuild.
DELETE FROM horizons;
