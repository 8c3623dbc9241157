package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// Replacing an element is "destroy it, add it" in one transaction: adding alone fails with EBUSY when the value differs and, before
// Linux 6.12, keeps the old timeout when it does not; "delete" fails the whole transaction when the element is not there, as one
// that has just expired is not. "Destroy" is "delete if it is there" and exists since Linux 6.3. Older kernels are asked
// which elements are there; the transaction is then tried anew if one of them expired in between.

// replaceAttempts bounds those new tries.
const replaceAttempts = 5

// maxComment is the longest comment that nft takes, in bytes (NFTNL_UDATA_COMMENT_MAXLEN without its NUL).
const maxComment = 127

// Elements reads a named set or map whole, ordered by key. A set of ranges is hal.ErrUnsupported: a range is no
// element that could be written back.
func (f *firewall) Elements(ctx context.Context, set string) ([]hal.Element, error) {
	types, err := nftables.New()
	if err != nil {
		return nil, kernelError(err, "open an nfnetlink socket")
	}
	s, err := findSet(ctx, types, set)
	if err != nil {
		return nil, err
	}
	if s.Interval {
		return nil, fmt.Errorf("read elements of %s: it holds ranges; list it with `nft list set`: %w", set, hal.ErrUnsupported)
	}
	c, err := openTable(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	raw, err := dumpElements(ctx, c, set)
	if err != nil {
		return nil, err
	}
	elements := make([]hal.Element, 0, len(raw))
	for _, r := range raw {
		e, err := decodeElement(s, r)
		if err != nil {
			return nil, fmt.Errorf("read elements of %s: %w", set, err)
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// dumpElements reads until one reading is whole: no transaction was committed meanwhile, and no element came twice. The latter
// happens while the kernel enlarges a hash table, which it does some milliseconds after elements were added: a listing in
// several parts then shows some elements twice and misses as many (measured: 2,156 of 20,000). When the ruleset never rests,
// a reading without doubles will do: what changed meanwhile is new or gone anyhow.
func dumpElements(ctx context.Context, c *tableConn, set string) ([]nftables.SetElement, error) {
	var settled []nftables.SetElement
	pause := time.Millisecond
	for range dumpAttempts {
		c.disturbed = false
		before, err := c.generation()
		if err != nil {
			return nil, err
		}
		raw, err := c.elements(set)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
		after, genErr := c.generation()
		if genErr != nil {
			return nil, genErr
		}
		slices.SortFunc(raw, func(a, b nftables.SetElement) int { return bytes.Compare(a.Key, b.Key) })
		n := len(raw)
		raw = slices.CompactFunc(raw, func(a, b nftables.SetElement) bool { return bytes.Equal(a.Key, b.Key) })
		if err == nil && len(raw) == n {
			if settled = raw; before == after && !c.disturbed {
				return raw, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
	if settled == nil {
		return nil, fmt.Errorf("read elements of %s: the set changed during each of %d readings; try again", set, dumpAttempts)
	}
	return settled, nil
}

// elements lists a set once.
func (c *tableConn) elements(set string) ([]nftables.SetElement, error) {
	var all []nftables.SetElement
	err := c.eachElement(set, func(e fields) error {
		raw, err := readElement(e)
		all = append(all, raw)
		return err
	})
	return all, err
}

// SetElements adds elements or replaces those with the same key. Of two with the same key in elems, the later one counts.
// An element without a timeout in a set that has a default timeout gets that one. It is one transaction, unless the process may
// not enlarge its socket's buffer (in a user namespace) and the batch does not fit: then it is several, each of which is
// all or nothing.
func (f *firewall) SetElements(ctx context.Context, set string, elems []hal.Element) error {
	return f.edit(ctx, set, elems, "set", func(c *nftables.Conn, s *nftables.Set, raw []nftables.SetElement) error {
		return c.SetAddElements(s, raw)
	})
}

// DeleteElements removes elements by their keys.
func (f *firewall) DeleteElements(ctx context.Context, set string, elems []hal.Element) error {
	return f.edit(ctx, set, elems, "delete", nil)
}

type addition func(c *nftables.Conn, s *nftables.Set, raw []nftables.SetElement) error

func (f *firewall) edit(ctx context.Context, set string, elems []hal.Element, doing string, add addition) error {
	if len(elems) == 0 {
		return ctx.Err()
	}
	return f.editor.use(func(c *nftables.Conn) error {
		s, err := findSet(ctx, c, set)
		if err != nil {
			return err
		}
		raw, err := encodeElements(s, elems)
		if err != nil {
			return fmt.Errorf("%s elements of %s: %w", doing, set, err)
		}
		err = f.commit(ctx, c, s, raw, add)
		if errors.Is(err, unix.ENFILE) {
			return fmt.Errorf("%s %d elements of %s: it is full, at %d elements: %w", doing, len(raw), set, s.Size, hal.ErrRefused)
		}
		return kernelError(err, "%s %d elements of %s", doing, len(raw), set)
	})
}

// commit removes the elements and, with add, adds them, halving a batch that the socket does not take.
func (f *firewall) commit(ctx context.Context, c *nftables.Conn, s *nftables.Set, raw []nftables.SetElement, add addition) error {
	err := f.transact(ctx, c, s, raw, add)
	if len(raw) < 2 || !errors.Is(err, unix.EMSGSIZE) {
		return err
	}
	half := len(raw) / 2
	if err := f.commit(ctx, c, s, raw[:half], add); err != nil {
		return err
	}
	return f.commit(ctx, c, s, raw[half:], add)
}

func (f *firewall) transact(ctx context.Context, c *nftables.Conn, s *nftables.Set, raw []nftables.SetElement, add addition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys := make([]nftables.SetElement, len(raw))
	for i, r := range raw {
		keys[i] = nftables.SetElement{Key: r.Key}
	}
	if !f.noDestroy.Load() {
		err := flushElements(c, s, raw, add, func() error { return c.SetDestroyElements(s, keys) })
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		// An old kernel, or something else about the batch that the way below will meet again.
	}
	for attempt := 1; ; attempt++ {
		there, err := presentElements(c, s, keys)
		if err != nil {
			return err
		}
		err = flushElements(c, s, raw, add, func() error { return c.SetDeleteElements(s, there) })
		if err == nil && !f.noDestroy.Swap(true) {
			f.log.Debug("the kernel cannot destroy set elements; asking for them before each change instead")
		}
		raced := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ERESTART)
		if !raced || attempt == replaceAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// flushElements sends a removal and, with add, an addition as one transaction.
func flushElements(c *nftables.Conn, s *nftables.Set, raw []nftables.SetElement, add addition, remove func() error) error {
	if err := remove(); err != nil {
		return err
	}
	if add != nil {
		if err := add(c, s, raw); err != nil {
			return err
		}
	}
	return c.Flush()
}

// presentElements asks the kernel for each key, because a request for several ends at the first that is missing.
func presentElements(c *nftables.Conn, s *nftables.Set, keys []nftables.SetElement) ([]nftables.SetElement, error) {
	var there []nftables.SetElement
	for _, k := range keys {
		switch _, err := c.FindSetElements(s, []nftables.SetElement{k}); {
		case err == nil:
			there = append(there, k)
		case !errors.Is(err, unix.ENOENT):
			return nil, err
		}
	}
	return there, nil
}

// findSet finds a named set or map of the table, and so the types of its keys and values.
func findSet(ctx context.Context, c *nftables.Conn, set string) (*nftables.Set, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	s, err := c.GetSetByName(t, set)
	return s, kernelError(err, "find set %s of table inet %s", set, table)
}

// editor is the one socket over which elements are changed. It stays open, because the kernel makes the closing of an
// nfnetlink socket wait until what a transaction removed is freed: 13 ms for one element, against 15 µs for the
// transaction itself.
type editor struct {
	mu   sync.Mutex // held for a whole edit: the connection gathers the messages of a transaction
	conn *nftables.Conn
}

// use calls f with the connection. After an error a new connection is opened the next time, so that no late
// answer is taken for that of a later request.
func (e *editor) use(f func(*nftables.Conn) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		c, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return kernelError(err, "open an nfnetlink socket")
		}
		e.conn = c
	}
	err := f(e.conn)
	if err != nil {
		_ = e.conn.CloseLasting()
		e.conn = nil
	}
	return err
}

// milliseconds rounds a timeout up to the kernel's unit, so that a short one does not become "for ever".
func milliseconds(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
