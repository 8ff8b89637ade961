-- Times are nanoseconds since 1970 UTC. Secrets stand as SHA-256, passwords as Argon2id.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE sessions (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    user_name TEXT NOT NULL REFERENCES users (name),
    created_ns INTEGER NOT NULL,
    used_ns INTEGER NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE TABLE tokens (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    roles TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    revoked_ns INTEGER
);
CREATE TABLE setup_codes (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    created_ns INTEGER NOT NULL
);
CREATE TABLE enrolments (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    edge TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    used_ns INTEGER
);
CREATE TABLE edges (
    edge TEXT NOT NULL PRIMARY KEY,
    public_key BLOB NOT NULL,
    enrolled_ns INTEGER NOT NULL,
    software TEXT NOT NULL,
    revoked_ns INTEGER
);
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    result TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at_ns);
