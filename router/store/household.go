package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// restoreKey is the setting that says that a restored household is not confirmed yet. Its value is the caller's.
const restoreKey = "store/restore"

// ErrRestoring: a restored household waits to be confirmed.
var ErrRestoring = errors.New("a restored household is being tried: keep it or go back first")

// Household is what a house would miss in a new router: its rules, who may sign in, the devices with their names.
type Household struct {
	Policy  string
	Users   []User   // ids mean nothing elsewhere; empty: those who are there stay
	Devices []Device // nil: those who are there stay
}

// Replacement says how a household comes in.
type Replacement struct {
	Author string // of the policy's new version
	Note   string
	Keep   int64  // a user who stays whatever the household says; 0: nobody
	Mark   []byte // what Restored answers until the household is confirmed or taken back
}

// kept lists the tables that a replacement changes. What stands in them is set aside within the same transaction, so that the way back is as safe
// as the database itself. Those that refer to others come after them.
func kept() []string { return []string{"users", "sessions", "tokens", "devices", "device_macs"} }

// Household reads what a backup is made of.
func (s *Store) Household(ctx context.Context) (h Household, err error) {
	p, err := s.CurrentPolicy(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return h, err
	}
	h.Policy = p.Text
	if h.Users, err = s.Users(ctx); err != nil {
		return h, err
	}
	h.Devices, err = s.Devices(ctx)
	return h, err
}

// Restored answers the mark of a household that is not confirmed; ErrNotFound when there is none.
func (s *Store) Restored(ctx context.Context) ([]byte, error) { return s.Setting(ctx, restoreKey) }

// ReplaceHousehold puts a household in the place of the present one, whole or not at all. Until ConfirmHousehold, ReturnHousehold
// brings back what was there. Users who are in both keep their sessions and tokens, unless their password is another one. Nobody may be at work
// with what it changes: callers hold their own copies of users and devices.
func (s *Store) ReplaceHousehold(ctx context.Context, h Household, r Replacement) error {
	return s.write(ctx, "restore the household", true, func(tx *sql.Tx) error {
		if _, err := getSetting(ctx, tx, restoreKey); !errors.Is(err, ErrNotFound) {
			return errors.Join(ErrRestoring, err)
		}
		for _, table := range kept() {
			if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS kept_`+table+`; CREATE TABLE kept_`+table+` AS SELECT * FROM `+table); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS kept_policies; CREATE TABLE kept_policies AS SELECT coalesce(max(version), 0) AS version FROM policies`); err != nil {
			return err
		}
		if err := putSetting(ctx, tx, restoreKey, r.Mark); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO policies (at, author, note, text) VALUES (?, ?, ?, ?)`, toUnix(s.now()), r.Author, r.Note, h.Policy); err != nil {
			return err
		}
		if len(h.Users) > 0 {
			if err := replaceUsers(ctx, tx, h.Users, r.Keep); err != nil {
				return err
			}
		}
		if h.Devices == nil {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM devices`); err != nil {
			return err
		}
		return putDevices(ctx, tx, h.Devices)
	})
}

func replaceUsers(ctx context.Context, tx *sql.Tx, users []User, keep int64) error {
	if _, err := tx.ExecContext(ctx, `CREATE TEMP TABLE staying (id INTEGER PRIMARY KEY)`); err != nil {
		return err
	}
	stay := func(id int64) error {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO staying (id) VALUES (?)`, id)
		return err
	}
	if err := stay(keep); err != nil {
		return err
	}
	for _, u := range users {
		var id int64
		var password string
		err := tx.QueryRowContext(ctx, `SELECT id, password FROM users WHERE name = ?`, u.Name).Scan(&id, &password)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			res, err := tx.ExecContext(ctx, `INSERT INTO users (name, role, person, password, totp, step, recovery, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				u.Name, u.Role, u.Person, u.Password, nonNil(u.TOTP), u.Step, u.Recovery, toUnix(u.Made))
			if err != nil {
				return taken(err)
			}
			if id, err = res.LastInsertId(); err != nil {
				return err
			}
		case err != nil:
			return err
		case id == keep:
			continue
		default:
			if _, err := tx.ExecContext(ctx, `UPDATE users SET name = ?, role = ?, person = ?, password = ?, totp = ?, step = ?, recovery = ? WHERE id = ?`,
				u.Name, u.Role, u.Person, u.Password, nonNil(u.TOTP), u.Step, u.Recovery, id); err != nil {
				return err
			}
			if u.Password != password {
				for _, table := range []string{"sessions", "tokens"} {
					if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE user = ?`, id); err != nil {
						return err
					}
				}
			}
		}
		if err := stay(id); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id NOT IN (SELECT id FROM staying); DROP TABLE staying`)
	return err
}

// ReturnHousehold brings back what ReplaceHousehold set aside; ErrNotFound when nothing waits to be confirmed.
func (s *Store) ReturnHousehold(ctx context.Context) error {
	return s.write(ctx, "bring the household before the restore back", true, func(tx *sql.Tx) error {
		if _, err := getSetting(ctx, tx, restoreKey); err != nil {
			return err
		}
		// Deleting users and devices deletes what refers to them.
		for _, table := range []string{"users", "devices"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return err
			}
		}
		for _, table := range kept() {
			if _, err := tx.ExecContext(ctx, `INSERT INTO `+table+` SELECT * FROM kept_`+table); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM policies WHERE version > (SELECT version FROM kept_policies)`); err != nil {
			return err
		}
		return forgetKept(ctx, tx)
	})
}

// ConfirmHousehold makes a restored household the one that stays, and adds days of usage that are not known yet; ErrNotFound when
// nothing waits to be confirmed.
func (s *Store) ConfirmHousehold(ctx context.Context, days []Usage) error {
	return s.write(ctx, "keep the restored household", true, func(tx *sql.Tx) error {
		if _, err := getSetting(ctx, tx, restoreKey); err != nil {
			return err
		}
		if err := s.addDays(ctx, tx, days); err != nil {
			return err
		}
		return forgetKept(ctx, tx)
	})
}

// addDays adds usage by the local day; a sum that is there already stays.
func (s *Store) addDays(ctx context.Context, tx *sql.Tx, days []Usage) error {
	w := words{tx: tx, ids: map[word]int64{}}
	for _, u := range days {
		var ids [3]int64
		for i, x := range []word{{wordDevice, u.Device}, {wordApp, u.App}, {wordLink, u.Link}} {
			var err error
			if ids[i], err = w.id(ctx, x); err != nil {
				return err
			}
		}
		t := u.Traffic
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO usage_day (at, device, app, link, up, down, packets_up, packets_down, flows) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			Day.start(u.At.Add(12*time.Hour), s.loc), ids[0], ids[1], ids[2], t.Up, t.Down, t.PacketsUp, t.PacketsDown, t.Flows); err != nil {
			return err
		}
	}
	return nil
}

func forgetKept(ctx context.Context, tx *sql.Tx) error {
	for _, table := range append([]string{"policies"}, kept()...) {
		if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS kept_`+table); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE key = ?`, restoreKey)
	return err
}
