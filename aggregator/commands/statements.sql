-- name: asked
-- The campus wrote down what is asked.
INSERT INTO commands (command_id, position, group_id, device, edge, name, operator, reason, arguments, lease, session, epoch,
    asked_ns, state, result, end_reason, end_ns, conflicts)
VALUES (:command_id, :position, :group_id, :device, :edge, :name, :operator, :reason, :arguments, :lease, :session, :epoch,
    :asked_ns, 'requested', '', '', NULL, 0)
ON CONFLICT (command_id) DO NOTHING;

-- name: taken
-- The box has it. Only the box of the device is believed.
UPDATE commands SET state = 'taken' WHERE command_id = :command_id AND edge = :edge AND state = 'requested';

-- name: ended
-- The first end stands.
UPDATE commands SET state = 'settled', result = :result, end_reason = :end_reason, end_ns = :end_ns
WHERE command_id = :command_id AND edge = :edge AND state <> 'settled';

-- name: contradicted
-- A second end that says something else is counted, and changes nothing.
UPDATE commands SET conflicts = conflicts + 1
WHERE command_id = :command_id AND edge = :edge AND state = 'settled' AND result <> :result;

-- name: clear_commands
-- Before a rebuild.
DELETE FROM commands;

-- name: open_of_edge
-- What was asked of a box and has not been taken, oldest first.
SELECT * FROM commands WHERE edge = :edge AND state = 'requested' ORDER BY position LIMIT 1000;

-- name: command
-- One command.
SELECT * FROM commands WHERE command_id = :command_id;

-- name: page
-- Newest first.
SELECT * FROM commands WHERE position < :before AND (:device = '' OR device = :device)
  AND (:state = '' OR state = :state) AND (:group_id = '' OR group_id = :group_id)
ORDER BY position DESC LIMIT :limit;

-- name: key
-- The answer that was given to a key.
SELECT request, answer FROM command_keys WHERE caller = :caller AND key = :key;

-- name: add_key
-- Before anything is done.
INSERT INTO command_keys (caller, key, request, answer, created_ns)
VALUES (:caller, :key, :request, :answer, :created_ns);

-- name: forget_key
-- Nothing was done under it.
DELETE FROM command_keys WHERE caller = :caller AND key = :key;

-- name: forget_keys
-- A key is remembered for a week.
DELETE FROM command_keys WHERE created_ns < :before_ns;
