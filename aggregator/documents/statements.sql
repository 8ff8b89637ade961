-- name: highest
-- The highest number that was given out or heard of.
SELECT max(coalesce((SELECT max(version) FROM documents WHERE edge = :edge AND name = :name), 0),
           coalesce((SELECT version FROM told_versions WHERE edge = :edge AND name = :name), 0));

-- name: add
-- A new version.
INSERT INTO documents (edge, name, version, sha256, body, author, created_ns)
VALUES (:edge, :name, :version, :sha256, :body, :author, :created_ns);

-- name: wanted
-- What every box ought to have.
SELECT edge, name, max(version) AS version FROM documents GROUP BY edge, name;

-- name: newest
-- One document as it is wanted.
SELECT * FROM documents WHERE edge = :edge AND name = :name ORDER BY version DESC LIMIT 1;

-- name: newest_of_edge
-- All documents of one box as they are wanted, without their bodies.
SELECT name, version, sha256, author, created_ns FROM documents AS one
WHERE edge = :edge AND version = (SELECT max(version) FROM documents WHERE edge = one.edge AND name = one.name)
ORDER BY name;

-- name: told
-- A box said that it has a version.
INSERT INTO told_versions (edge, name, version) VALUES (:edge, :name, :version)
ON CONFLICT (edge, name) DO UPDATE SET version = excluded.version WHERE excluded.version > told_versions.version;
