-- name: add_user
-- A new person; the name is taken once and for all.
INSERT INTO users (name, password_hash, roles, scope, created_ns) VALUES (:name, :password_hash, :roles, :scope, :now);

-- name: user
-- One person.
SELECT * FROM users WHERE name = :name;

-- name: users
-- Everybody, without password hashes.
SELECT name, roles, scope, created_ns, disabled FROM users ORDER BY name;

-- name: count_users
-- Whether set-up has been done.
SELECT count(*) FROM users;

-- name: set_password
-- Also used to take a better hash.
UPDATE users SET password_hash = :password_hash WHERE name = :name;

-- name: add_session
-- A person signed in.
INSERT INTO sessions (secret_hash, id, user_name, created_ns, used_ns) VALUES (:secret_hash, :id, :name, :now, :now);

-- name: session
-- A session with the person it is of.
SELECT sessions.id, sessions.used_ns, users.name, users.roles, users.scope, users.disabled
FROM sessions JOIN users ON users.name = sessions.user_name WHERE secret_hash = :secret_hash;

-- name: touch_session
-- The session was used.
UPDATE sessions SET used_ns = :now WHERE secret_hash = :secret_hash;

-- name: end_session
-- Signed out, or idle for too long.
DELETE FROM sessions WHERE secret_hash = :secret_hash;

-- name: end_sessions_of
-- A password was changed or a person disabled.
DELETE FROM sessions WHERE user_name = :name;

-- name: add_token
-- A token for programs.
INSERT INTO tokens (secret_hash, id, name, prefix, roles, scope, created_ns, expires_ns)
VALUES (:secret_hash, :id, :name, :prefix, :roles, :scope, :now, :expires_ns);

-- name: token
-- A token by what it hashes to.
SELECT * FROM tokens WHERE secret_hash = :secret_hash;

-- name: tokens
-- All tokens, without their hashes.
SELECT id, name, prefix, roles, scope, created_ns, expires_ns, revoked_ns FROM tokens ORDER BY created_ns;

-- name: revoke_token
-- From now on it opens nothing.
UPDATE tokens SET revoked_ns = :now WHERE id = :id AND revoked_ns IS NULL;

-- name: add_setup_code
-- The code that makes the first administrator.
INSERT INTO setup_codes (secret_hash, created_ns) VALUES (:secret_hash, :now);

-- name: drop_setup_codes
-- Only the newest code counts, and none once somebody is there.
DELETE FROM setup_codes;

-- name: setup_code
-- Whether a code is the one.
SELECT created_ns FROM setup_codes WHERE secret_hash = :secret_hash;

-- name: add_audit
-- What was done, by whom, from where, and how it ended.
INSERT INTO audit (id, at_ns, actor, action, target, result, address)
VALUES (:id, :at_ns, :actor, :action, :target, :result, :address);

-- name: audit
-- The book, newest first, from an entry on.
SELECT * FROM audit WHERE (at_ns, id) < (:before_ns, :before_id) ORDER BY at_ns DESC, id DESC LIMIT :limit;

-- name: add_enrolment
-- A one-time token for a box.
INSERT INTO enrolments (secret_hash, edge, created_ns, expires_ns) VALUES (:secret_hash, :edge, :now, :expires_ns);

-- name: enrolment
-- A one-time token by what it hashes to.
SELECT edge, expires_ns, used_ns FROM enrolments WHERE secret_hash = :secret_hash;

-- name: use_enrolment
-- It is used up.
UPDATE enrolments SET used_ns = :now WHERE secret_hash = :secret_hash AND used_ns IS NULL;

-- name: put_edge
-- A box with its key; enrolled again it has another key, or comes back after it was revoked.
INSERT INTO edges (edge, public_key, enrolled_ns, software) VALUES (:edge, :public_key, :now, :software)
ON CONFLICT (edge) DO UPDATE SET public_key = excluded.public_key, enrolled_ns = excluded.enrolled_ns,
    software = excluded.software, revoked_ns = NULL;

-- name: edge
-- One box.
SELECT * FROM edges WHERE edge = :edge;

-- name: edges
-- All boxes.
SELECT edge, enrolled_ns, software, revoked_ns FROM edges ORDER BY edge;

-- name: revoke_edge
-- From now on it is refused.
UPDATE edges SET revoked_ns = :now WHERE edge = :edge AND revoked_ns IS NULL;
