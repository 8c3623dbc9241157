package store

import (
	"context"
	"database/sql"
	"fmt"
)

// applicationID stands in the file's header and tells our databases from others ("Trnz").
const applicationID = 0x54726e7a

// migrations lead an empty file to the newest schema, one version each; PRAGMA user_version counts those already done.
// A migration that was released is never edited: add another.
func migrations() []string {
	return []string{schemaV1, schemaBlocks, schemaUsers}
}

// Times are Unix seconds. Usage refers to devices, applications and links by interned words, because a device number
// may be given to another device and a link may be renumbered.
const schemaV1 = `
CREATE TABLE devices (
	number     INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 510),
	id         TEXT NOT NULL UNIQUE,
	name       TEXT NOT NULL,
	hostname   TEXT NOT NULL,
	vendor     TEXT NOT NULL,
	interface  TEXT NOT NULL,
	first_seen INTEGER NOT NULL,
	last_seen  INTEGER NOT NULL
);
CREATE TABLE device_macs (
	mac    TEXT PRIMARY KEY,
	number INTEGER NOT NULL REFERENCES devices(number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX device_macs_number ON device_macs(number);
CREATE TABLE policies (
	version INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	author  TEXT NOT NULL,
	note    TEXT NOT NULL,
	text    TEXT NOT NULL
);
CREATE TABLE words (
	id   INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL,
	text TEXT NOT NULL,
	UNIQUE (kind, text)
);
CREATE TABLE usage_minute (
	at INTEGER NOT NULL, device INTEGER NOT NULL, app INTEGER NOT NULL, link INTEGER NOT NULL,
	up INTEGER NOT NULL, down INTEGER NOT NULL, packets_up INTEGER NOT NULL, packets_down INTEGER NOT NULL, flows INTEGER NOT NULL,
	PRIMARY KEY (at, device, app, link)
) WITHOUT ROWID;
CREATE TABLE usage_hour (
	at INTEGER NOT NULL, device INTEGER NOT NULL, app INTEGER NOT NULL, link INTEGER NOT NULL,
	up INTEGER NOT NULL, down INTEGER NOT NULL, packets_up INTEGER NOT NULL, packets_down INTEGER NOT NULL, flows INTEGER NOT NULL,
	PRIMARY KEY (at, device, app, link)
) WITHOUT ROWID;
CREATE TABLE usage_day (
	at INTEGER NOT NULL, device INTEGER NOT NULL, app INTEGER NOT NULL, link INTEGER NOT NULL,
	up INTEGER NOT NULL, down INTEGER NOT NULL, packets_up INTEGER NOT NULL, packets_down INTEGER NOT NULL, flows INTEGER NOT NULL,
	PRIMARY KEY (at, device, app, link)
) WITHOUT ROWID;
CREATE TABLE link_history (
	resolution INTEGER NOT NULL, at INTEGER NOT NULL, link TEXT NOT NULL,
	samples INTEGER NOT NULL, up_samples INTEGER NOT NULL, answers INTEGER NOT NULL,
	latency REAL NOT NULL, jitter REAL NOT NULL, loss REAL NOT NULL, rate_up REAL NOT NULL, rate_down REAL NOT NULL,
	PRIMARY KEY (resolution, at, link)
) WITHOUT ROWID;
CREATE TABLE events (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL, severity INTEGER NOT NULL, code TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
`

// schemaUsers is who may use the page, what they did, and what members ask for.
const schemaUsers = `
CREATE TABLE users (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	name     TEXT NOT NULL UNIQUE COLLATE NOCASE,
	role     TEXT NOT NULL,
	person   TEXT NOT NULL,
	password TEXT NOT NULL,
	totp     BLOB NOT NULL,
	step     INTEGER NOT NULL,
	recovery TEXT NOT NULL,
	made     INTEGER NOT NULL
);
CREATE TABLE sessions (
	hash  BLOB PRIMARY KEY,
	user  INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
	made  INTEGER NOT NULL,
	seen  INTEGER NOT NULL,
	peer  TEXT NOT NULL,
	agent TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tokens (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	hash    BLOB NOT NULL UNIQUE,
	user    INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	scopes  TEXT NOT NULL,
	made    INTEGER NOT NULL,
	expires INTEGER NOT NULL
);
CREATE TABLE audit (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	at     INTEGER NOT NULL,
	actor  TEXT NOT NULL,
	peer   TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	before TEXT NOT NULL,
	after  TEXT NOT NULL
);
CREATE TABLE requests (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	at       INTEGER NOT NULL,
	person   TEXT NOT NULL,
	text     TEXT NOT NULL,
	rule     TEXT NOT NULL,
	state    TEXT NOT NULL,
	answered INTEGER NOT NULL,
	by       TEXT NOT NULL,
	answer   TEXT NOT NULL
);
`

// migrate brings the database to the newest schema, each step in its own transaction. It fails with ErrNewer for a database
// from the future and with ErrUnusable for one of another program. before, unless nil, is called before the first step of a database that has
// a schema already, with its version; if it fails, nothing is migrated.
func migrate(ctx context.Context, db *sql.DB, steps []string, before func(version int) error) error {
	var version, app, tables int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("read the schema version: %w", classify(err))
	}
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&app); err != nil {
		return fmt.Errorf("read the application id: %w", classify(err))
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return fmt.Errorf("read the schema: %w", classify(err))
	}
	if tables > 0 && app != applicationID {
		return fmt.Errorf("%w: it is an SQLite database of another program; name another file", ErrUnusable)
	}
	if version > len(steps) {
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewer, version, len(steps))
	}
	if before != nil && version > 0 && version < len(steps) {
		if err := before(version); err != nil {
			return fmt.Errorf("back the database up before its migration: %w", err)
		}
	}
	for ; version < len(steps); version++ {
		if err := migrateStep(ctx, db, version+1, steps[version]); err != nil {
			return fmt.Errorf("migrate the database to schema %d: %w", version+1, classify(err))
		}
	}
	return nil
}

func migrateStep(ctx context.Context, db *sql.DB, version int, step string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, step); err != nil {
		return err
	}
	// A PRAGMA takes no parameters. Both values live in the file's header and are part of the transaction.
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, applicationID, version)); err != nil {
		return err
	}
	return tx.Commit()
}
