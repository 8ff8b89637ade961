-- Every version of every document, for each box its own row. The highest version of a name is the one wanted.
CREATE TABLE documents (
  edge       TEXT NOT NULL,
  name       TEXT NOT NULL,
  version    BIGINT NOT NULL,
  sha256     TEXT NOT NULL,
  body       BLOB NOT NULL,
  author     TEXT NOT NULL,
  created_ns BIGINT NOT NULL,
  PRIMARY KEY (edge, name, version)
);

-- The highest version a box has ever said it has: numbers below are never given out again, whatever was restored.
CREATE TABLE told_versions (
  edge    TEXT NOT NULL,
  name    TEXT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (edge, name)
);
