-- The SQLite store's schema and statements; each statement is found by the name on the line above it.
--
-- Public and stable for people with a sqlite3 shell: the view `event`, one event a line:
--     SELECT seq, type, fact FROM event WHERE execution = 'execution:arn:...';
-- All else may change between releases (`PRAGMA user_version` is the format's number).
--
-- `log` holds a row a decision: its events are one JSON array in `body`, each event being
-- [seq, id, previous, frame, at, {"type": ..., ...}]. Rows are never changed and never deleted, triggers see to that;
-- the one way out is to forget a whole stream, by naming it in `forgetting` within the transaction that deletes it.

-- name: schema
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE stream (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    checksum BLOB NOT NULL
);
-- Each row begins where another ended, so that two rows that begin alike is the only way to overlap.
CREATE UNIQUE INDEX log_place ON log (stream, first);

CREATE TABLE forgetting (stream INTEGER PRIMARY KEY);

CREATE TRIGGER log_is_never_changed BEFORE UPDATE ON log BEGIN
    SELECT RAISE(ABORT, 'the log is append-only');
END;

CREATE TRIGGER log_is_never_cut BEFORE DELETE ON log
WHEN NOT EXISTS (SELECT 1 FROM forgetting WHERE stream = OLD.stream) BEGIN
    SELECT RAISE(ABORT, 'the log is append-only');
END;

CREATE TABLE inbox (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX inbox_stream ON inbox (stream, id);

CREATE TABLE lease (stream INTEGER PRIMARY KEY, owner TEXT NOT NULL, fence INTEGER NOT NULL, until INTEGER NOT NULL);

CREATE TABLE catalog (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    parent TEXT NOT NULL,
    status TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    due INTEGER,
    data BLOB NOT NULL,
    stream INTEGER,
    UNIQUE (kind, key)
);
CREATE INDEX catalog_kind ON catalog (kind, started, key);
CREATE INDEX catalog_parent ON catalog (kind, parent, started, key);
CREATE INDEX catalog_status ON catalog (kind, parent, status, started, key);
CREATE INDEX catalog_open ON catalog (due) WHERE ended IS NULL;
CREATE INDEX catalog_stream ON catalog (stream) WHERE stream IS NOT NULL;

CREATE TABLE text (digest TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

CREATE VIEW event AS
SELECT
    stream.name AS execution,
    json_extract(one.value, '$[0]') AS seq,
    json_extract(one.value, '$[1]') AS id,
    json_extract(one.value, '$[2]') AS previous,
    json_extract(one.value, '$[3]') AS frame,
    strftime('%Y-%m-%dT%H:%M:%fZ', json_extract(one.value, '$[4]') / 1000.0, 'unixepoch') AS at,
    json_extract(one.value, '$[5].type') AS type,
    json_remove(json_extract(one.value, '$[5]'), '$.type') AS fact
FROM log
JOIN stream ON stream.key = log.stream
JOIN json_each(CAST(log.body AS TEXT)) AS one;

-- name: snapshot_table
-- Not of the schema: a store is whole without it, and a release that does not know it leaves it alone.
CREATE TABLE IF NOT EXISTS snapshot (
    stream INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL
);

-- name: head
SELECT stream.key, log.last, log.checksum, coalesce(lease.fence, 0)
FROM stream
LEFT JOIN log ON log.stream = stream.key
LEFT JOIN lease ON lease.stream = stream.key
WHERE stream.name = ?
ORDER BY log.first DESC LIMIT 1;

-- name: last_key
SELECT coalesce(max(key), 0) FROM stream;

-- name: add_stream
INSERT INTO stream (key, name) VALUES (?, ?);

-- name: add_row
-- One row; the writer repeats the last line for more. FAIL instead of ABORT: a transaction with a row that is refused is
-- rolled back as a whole, so that SQLite need not keep what takes back one statement of it.
INSERT OR FAIL INTO log (stream, first, last, at, body, first_id, last_id, checksum) VALUES
(?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_entry
INSERT INTO catalog (kind, key, parent, status, started, ended, due, data, stream) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET
    parent = excluded.parent, status = excluded.status, started = excluded.started, ended = excluded.ended,
    due = excluded.due, data = excluded.data, stream = coalesce(excluded.stream, stream);

-- name: consume
DELETE FROM inbox WHERE id = ? AND stream = ?;

-- name: post
INSERT INTO inbox (stream, body) VALUES (?, ?);

-- name: waiting
SELECT count(*) FROM inbox WHERE stream = ?;

-- name: peek
SELECT id, stream, body FROM inbox WHERE stream = ? ORDER BY id;

-- name: add_text
INSERT OR IGNORE INTO text (digest, body) VALUES (?, ?);

-- name: text
SELECT body FROM text WHERE digest = ?;

-- name: start_of_reading
-- The row before the one that holds version :after: its checksum is what the chain is checked from.
SELECT first FROM log WHERE stream = (SELECT key FROM stream WHERE name = :stream) AND first <= :after
ORDER BY first DESC LIMIT 1 OFFSET 1;

-- name: read
SELECT first, last, at, body, first_id, last_id, checksum FROM log
WHERE stream = (SELECT key FROM stream WHERE name = :stream) AND first >= :place ORDER BY first;

-- name: read_back
SELECT first, last, at, body, first_id, last_id, checksum FROM log
WHERE stream = (SELECT key FROM stream WHERE name = :stream) AND first <= :place ORDER BY first DESC;

-- name: add_snapshot
INSERT OR REPLACE INTO snapshot (stream, version, body, checksum) VALUES (?, ?, ?, ?);

-- name: drop_snapshot
DELETE FROM snapshot WHERE stream = ?;

-- name: drop_snapshots
DELETE FROM snapshot;

-- name: with_snapshots
SELECT stream.name FROM snapshot JOIN stream ON stream.key = snapshot.stream;

-- name: snapshot
-- With the checksum of the row that it goes up to, which speaks for all before it.
SELECT snapshot.version, snapshot.body, snapshot.checksum, log.checksum FROM stream
JOIN snapshot ON snapshot.stream = stream.key
JOIN log ON log.last = snapshot.version AND log.position = (
    SELECT position FROM log WHERE stream = stream.key AND first <= snapshot.version ORDER BY first DESC LIMIT 1
)
WHERE stream.name = ?;

-- name: version
SELECT last FROM log WHERE stream = (SELECT key FROM stream WHERE name = ?) ORDER BY first DESC LIMIT 1;

-- name: entry
SELECT kind, key, parent, status, started, ended, due, data FROM catalog WHERE kind = ? AND key = ?;

-- name: entries
-- The reader leaves out a filter that is not asked for, and turns the order round for the oldest first.
SELECT kind, key, parent, status, started, ended, due, data FROM catalog
WHERE kind = :kind AND parent = :parent AND status = :status AND (started, key) < (:started, :key)
ORDER BY started DESC, key DESC LIMIT :limit;

-- name: free_all
-- Whoever holds the file's lock owns every stream: the leases of earlier processes are over, their fences stay.
UPDATE lease SET owner = '', until = 0;

-- name: claimable
SELECT stream.key, stream.name FROM catalog
JOIN stream ON stream.name = catalog.kind || ':' || catalog.key
LEFT JOIN lease ON lease.stream = stream.key
WHERE catalog.ended IS NULL AND coalesce(lease.until, 0) <= :now
AND (catalog.due IS NULL OR catalog.due <= :now OR EXISTS (SELECT 1 FROM inbox WHERE inbox.stream = stream.name))
ORDER BY coalesce(catalog.due, 0), catalog.started, stream.name LIMIT :limit;

-- name: next_fence
INSERT INTO meta (name, value) VALUES ('fence', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value;

-- name: take
INSERT INTO lease (stream, owner, fence, until) VALUES (?, ?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET owner = excluded.owner, fence = excluded.fence, until = excluded.until;

-- name: release
UPDATE lease SET owner = '', until = 0 WHERE stream = (SELECT key FROM stream WHERE name = ?) AND fence = ?;

-- name: still_open
SELECT 1 FROM catalog WHERE kind = ? AND key = ? AND ended IS NULL;

-- name: forget
INSERT INTO forgetting SELECT key FROM stream WHERE name = :stream;
DELETE FROM log WHERE stream = (SELECT stream FROM forgetting);
DELETE FROM lease WHERE stream = (SELECT stream FROM forgetting);
DELETE FROM catalog WHERE stream = (SELECT stream FROM forgetting);
DELETE FROM catalog WHERE kind = :kind AND key = :key;
DELETE FROM inbox WHERE stream = :stream;
DELETE FROM stream WHERE key = (SELECT stream FROM forgetting);
DELETE FROM forgetting;

-- name: objects
SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL;

-- name: all_streams
SELECT name FROM stream ORDER BY key;

-- name: strays
SELECT stream, count(*) FROM log WHERE stream NOT IN (SELECT key FROM stream) GROUP BY stream;

-- name: all_texts
SELECT digest, body FROM text;
