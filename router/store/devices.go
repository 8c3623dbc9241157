package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Device is what is kept of a LAN device. Its addresses are not: they are learned anew.
type Device struct {
	Number    flow.DeviceID // 1 to flow.MaxDevice; part of the kernel's marks
	ID        string        // slug, unique
	Name      string        // as a person or the policy named it; may be empty
	Hostname  string
	Vendor    string
	Interface string // LAN device it was last seen on
	MACs      []flow.MAC
	FirstSeen time.Time
	LastSeen  time.Time
}

// Devices lists all devices by number.
func (s *Store) Devices(ctx context.Context) (list []Device, err error) {
	err = s.read(ctx, "read devices", func(db *sql.DB) error {
		list, err = readDevices(ctx, db)
		return err
	})
	return list, err
}

// PutDevices writes devices at once, replacing those with the same number. A MAC or an id that another device had moves to
// the one given here; that other device is deleted if it was not given too and its id is taken.
func (s *Store) PutDevices(ctx context.Context, list []Device) error {
	if len(list) == 0 {
		return nil
	}
	return s.write(ctx, "write devices", true, func(tx *sql.Tx) error { return putDevices(ctx, tx, list) })
}

// DeleteDevices forgets devices by number; their usage stays under their ids.
func (s *Store) DeleteDevices(ctx context.Context, numbers []flow.DeviceID) error {
	if len(numbers) == 0 {
		return nil
	}
	return s.write(ctx, "delete devices", true, func(tx *sql.Tx) error {
		for _, n := range numbers {
			if _, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE number = ?`, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// SeenDevice notes when a device was last seen; the writer commits it with the next usage.
func (s *Store) SeenDevice(number flow.DeviceID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.After(s.pending.seen[int64(number)]) {
		s.pending.seen[int64(number)] = at
	}
}

func readDevices(ctx context.Context, db *sql.DB) ([]Device, error) {
	macs := map[flow.DeviceID][]flow.MAC{}
	rows, err := db.QueryContext(ctx, `SELECT number, mac FROM device_macs ORDER BY mac`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n flow.DeviceID
		var text string
		if err := rows.Scan(&n, &text); err != nil {
			return nil, err
		}
		mac, err := flow.ParseMAC(text)
		if err != nil {
			return nil, fmt.Errorf("%w: device %d: %w", ErrBroken, n, err)
		}
		macs[n] = append(macs[n], mac)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows, err = db.QueryContext(ctx, `SELECT number, id, name, hostname, vendor, interface, first_seen, last_seen FROM devices ORDER BY number`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Device
	for rows.Next() {
		var d Device
		var first, last int64
		if err := rows.Scan(&d.Number, &d.ID, &d.Name, &d.Hostname, &d.Vendor, &d.Interface, &first, &last); err != nil {
			return list, err
		}
		d.MACs, d.FirstSeen, d.LastSeen = macs[d.Number], fromUnix(first), fromUnix(last)
		list = append(list, d)
	}
	return list, rows.Err()
}

func putDevices(ctx context.Context, tx *sql.Tx, list []Device) error {
	for _, d := range list { // first, so that devices may exchange ids and addresses
		if _, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE number = ? OR id = ?`, d.Number, d.ID); err != nil {
			return err
		}
	}
	for _, d := range list {
		if _, err := tx.ExecContext(ctx, `INSERT INTO devices (number, id, name, hostname, vendor, interface, first_seen, last_seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			d.Number, d.ID, d.Name, d.Hostname, d.Vendor, d.Interface, toUnix(d.FirstSeen), toUnix(d.LastSeen)); err != nil {
			return fmt.Errorf("device %d (%s): %w", d.Number, d.ID, err)
		}
		for _, mac := range d.MACs {
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO device_macs (mac, number) VALUES (?, ?)`, mac.String(), d.Number); err != nil {
				return fmt.Errorf("device %d (%s): %w", d.Number, d.ID, err)
			}
		}
	}
	return nil
}

func writeSeen(ctx context.Context, tx *sql.Tx, seen map[int64]time.Time) error {
	for n, at := range seen {
		if _, err := tx.ExecContext(ctx, `UPDATE devices SET last_seen = max(last_seen, ?) WHERE number = ?`, toUnix(at), n); err != nil {
			return err
		}
	}
	return nil
}

// toUnix and fromUnix keep the zero time as 0.
func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
