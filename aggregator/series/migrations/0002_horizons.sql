-- Up to where points (width_s 0) and stretches were forgotten: before that a stretch cannot be made anew from its points.
CREATE TABLE horizons (
  width_s   INTEGER PRIMARY KEY,
  before_ns BIGINT NOT NULL
);
