package linux

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// Replacing an element is "destroy it, add it" in one transaction: adding alone fails with EBUSY when the value differs and, before
// Linux 6.12, keeps the old timeout when it does not; "delete" fails the whole transaction when the element is not there, as one
// that has just expired is not. "Destroy" is "delete if it is there" and exists since Linux 6.3. Older kernels are asked
// which elements are there; the transaction is then tried anew if one of them expired in between.

// replaceAttempts bounds those new tries.
const replaceAttempts = 5

// SetElements adds elements or replaces those with the same key. Of two with the same key in elems, the later one counts.
// An element without a timeout in a set that has a default timeout gets that one. It is one transaction, unless it does not fit
// because the process may not enlarge its socket's buffer (in a user namespace) or memory is short: then it is several, each of
// which is all or nothing.
func (f *firewall) SetElements(ctx context.Context, set string, elems []hal.Element) error {
	return f.edit(ctx, set, elems, true)
}

// DeleteElements removes elements by their keys.
func (f *firewall) DeleteElements(ctx context.Context, set string, elems []hal.Element) error {
	return f.edit(ctx, set, elems, false)
}

// edit removes the elements and, with add, adds them.
func (f *firewall) edit(ctx context.Context, set string, elems []hal.Element, add bool) error {
	if err := ctx.Err(); err != nil || len(elems) == 0 {
		return err
	}
	doing := "delete"
	if add {
		doing = "set"
	}
	return f.editor.use(ctx, func(c *tableConn) error {
		s, err := c.set(set)
		if err != nil {
			return err
		}
		raw, err := s.encode(elems)
		if err != nil {
			return fmt.Errorf("%s elements of %s: %w", doing, set, err)
		}
		err = f.commit(c, s, raw, add)
		if errors.Is(err, unix.ENFILE) {
			return fmt.Errorf("%s %d elements of %s: it is full, at %d elements: %w", doing, len(raw), set, s.size, hal.ErrRefused)
		}
		return kernelError(err, "%s %d elements of %s", doing, len(raw), set)
	})
}

// commit halves what does not fit into one transaction.
func (f *firewall) commit(c *tableConn, s *elementSet, raw []rawElement, add bool) error {
	err := f.transact(c, s, raw, add)
	tooLarge := errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
	if len(raw) < 2 || !tooLarge {
		return err
	}
	half := len(raw) / 2
	if err := f.commit(c, s, raw[:half], add); err != nil {
		return err
	}
	return f.commit(c, s, raw[half:], add)
}

func (f *firewall) transact(c *tableConn, s *elementSet, raw []rawElement, add bool) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	var come []rawElement
	if add {
		come = raw
	}
	if !f.noDestroy.Load() {
		err := c.exchange(s, destroyElements, raw, come)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		// An old kernel, or something else about the batch that the way below will meet again.
	}
	for attempt := 1; ; attempt++ {
		there, err := c.present(s, raw)
		if err != nil {
			return err
		}
		err = c.exchange(s, unix.NFT_MSG_DELSETELEM, there, come)
		if err == nil && !f.noDestroy.Swap(true) {
			f.log.Debug("the kernel cannot destroy set elements; asking for them before each change instead")
		}
		raced := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)
		if !raced || attempt == replaceAttempts || c.ctx.Err() != nil {
			return err
		}
	}
}

// exchange removes elements, by a message of the kind remove, and adds others, in one transaction.
func (c *tableConn) exchange(s *elementSet, remove uint16, gone, come []rawElement) error {
	b := newBatch(c.sequence)
	b.elements(remove, 0, table, s.name, gone, appendKeyOf)
	b.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, table, s.name, come, s.appendElement)
	return c.transact(b)
}

// present asks the kernel for each element, because a request for several ends at the first that is missing.
func (c *tableConn) present(s *elementSet, raw []rawElement) ([]rawElement, error) {
	var there []rawElement
	for i, r := range raw {
		request := appendElements(tableRequest(), table, s.name, raw[i:i+1], appendKeyOf)
		switch err := c.ask(c.ctx, tableMessage(unix.NFT_MSG_GETSETELEM), unix.NLM_F_ACK, request, func(message) {}); {
		case err == nil:
			there = append(there, r)
		case !errors.Is(err, unix.ENOENT):
			return nil, err
		}
	}
	return there, nil
}

// editor is the one socket over which elements are changed. It stays open, because the kernel makes the closing of an
// nfnetlink socket wait until what a transaction removed is freed: 13 ms for one element, against 15 µs for the
// transaction itself.
type editor struct {
	mu     sync.Mutex // held for a whole edit
	socket *kernelSocket
}

// use calls f with the socket. After an error, and when the context ended, which closes the socket, another one is opened
// the next time.
func (e *editor) use(ctx context.Context, f func(*tableConn) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.socket == nil {
		// Lossless: of the answers to a transaction the first counts, so none needs to be told of that did not fit.
		s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{lossless: true})
		if err != nil {
			return err
		}
		e.socket = s
	}
	err := f(&tableConn{kernelSocket: e.socket, ctx: ctx})
	if err != nil || ctx.Err() != nil {
		e.socket.close()
		e.socket = nil
	}
	return err
}
