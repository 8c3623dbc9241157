package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Block is something that the filter did not let pass.
type Block struct {
	At     time.Time // the last time
	Count  int       // how often, within a minute of each other; at least 1
	How    string    // where it was stopped: BlockedFlow, BlockedName or BlockedContent
	Device string    // its id; "" when nobody knows whose the flow was
	Person string    // the device's owner; "" for a device of the house
	Rule   string    // id; "" when no single rule decided
	Name   string    // the rule's, as a person wrote it
	Tier   string    // who wrote the rule: "main" or "user"
	Proto  string    // "tcp"; "" for a name
	To     string    // address and port; "" for a name
	Host   string    // "" when not known
	App    string    // catalogue id; "" when not known
	Silent bool      // dropped without an answer
	Text   string    // the reason, one plain sentence
}

// Where something was stopped: a flow at its first packet, a name at the name server, a flow for what was read in it.
const (
	BlockedFlow    = "flow"
	BlockedName    = "name"
	BlockedContent = "content"
)

// sameBlock is how near in time two equal blocks count as one: programs that are refused try again at once.
const sameBlock = time.Minute

// recentBlocks is how many of the pending ones a new one is compared with.
const recentBlocks = 64

const schemaBlocks = `
CREATE TABLE blocks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL, count INTEGER NOT NULL, how TEXT NOT NULL, device TEXT NOT NULL, person TEXT NOT NULL,
	rule TEXT NOT NULL, name TEXT NOT NULL, tier TEXT NOT NULL, proto TEXT NOT NULL, target TEXT NOT NULL,
	host TEXT NOT NULL, app TEXT NOT NULL, silent INTEGER NOT NULL, text TEXT NOT NULL
);
`

// same tells whether another block is this one again.
func (b Block) same(o Block) bool {
	near := b.At.Sub(o.At).Abs() < sameBlock
	b.At, b.Count, o.At, o.Count = time.Time{}, 0, time.Time{}, 0
	return near && b == o
}

// AddBlock keeps a block; the writer commits it. The same one again within a minute only counts up while it is not yet committed.
func (s *Store) AddBlock(b Block) {
	b.Count = max(b.Count, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.pending.blocks
	for i := len(list) - 1; i >= max(0, len(list)-recentBlocks); i-- {
		if list[i].same(b) {
			list[i].At, list[i].Count = b.At, list[i].Count+b.Count
			return
		}
	}
	s.pending.blocks = append(list, b)
	s.pending.trimBlocks(s.lim.Blocks)
}

func (p *pending) trimBlocks(limit int) {
	if n := len(p.blocks) - limit; n > 0 {
		p.blocks = append([]Block(nil), p.blocks[n:]...)
	}
}

// BlockQuery asks for blocks; empty fields match everything.
type BlockQuery struct {
	Device, Person, Rule string
	Limit                int
}

func (q BlockQuery) matches(b Block) bool {
	return (q.Device == "" || b.Device == q.Device) && (q.Person == "" || b.Person == q.Person) && (q.Rule == "" || b.Rule == q.Rule)
}

// Blocks lists the newest blocks first.
func (s *Store) Blocks(ctx context.Context, q BlockQuery) (list []Block, err error) {
	err = s.read(ctx, "read what was blocked", func(db *sql.DB) error {
		list = nil
		s.mu.Lock()
		for i := len(s.pending.blocks) - 1; i >= 0 && len(list) < q.Limit; i-- {
			if b := s.pending.blocks[i]; q.matches(b) {
				list = append(list, b)
			}
		}
		s.mu.Unlock()
		where, args := []string{"1"}, []any{}
		for _, c := range []struct{ column, value string }{{"device", q.Device}, {"person", q.Person}, {"rule", q.Rule}} {
			if c.value != "" {
				where, args = append(where, c.column+" = ?"), append(args, c.value)
			}
		}
		rows, err := db.QueryContext(ctx, `SELECT at, count, how, device, person, rule, name, tier, proto, target, host, app, silent, text FROM blocks WHERE `+
			strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?`, append(args, max(q.Limit-len(list), 0))...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b Block
			var at int64
			if err := rows.Scan(&at, &b.Count, &b.How, &b.Device, &b.Person, &b.Rule, &b.Name, &b.Tier, &b.Proto, &b.To, &b.Host, &b.App, &b.Silent, &b.Text); err != nil {
				return err
			}
			b.At = fromUnix(at)
			list = append(list, b)
		}
		return rows.Err()
	})
	return list, err
}

func writeBlocks(ctx context.Context, tx *sql.Tx, blocks []Block, limit int) error {
	if len(blocks) == 0 {
		return nil
	}
	for _, b := range blocks {
		if _, err := tx.ExecContext(ctx, `INSERT INTO blocks (at, count, how, device, person, rule, name, tier, proto, target, host, app, silent, text)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			toUnix(b.At), b.Count, b.How, b.Device, b.Person, b.Rule, b.Name, b.Tier, b.Proto, b.To, b.Host, b.App, b.Silent, b.Text); err != nil {
			return fmt.Errorf("note a block: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM blocks WHERE id <= (SELECT max(id) FROM blocks) - ?`, limit)
	return err
}
