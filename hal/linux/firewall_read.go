package linux

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// Objects lists the named chains, sets, maps and counters; what nft made for itself (anonymous sets and chains) is not
// among them.
func (f *firewall) Objects(ctx context.Context) (hal.FirewallObjects, error) {
	return readTable(ctx, func(c *tableConn) (hal.FirewallObjects, error) {
		var o hal.FirewallObjects
		err := c.list(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, func(a fields) error {
			if a.number(chainFlags)&chainBinding == 0 {
				o.Chains = append(o.Chains, a.text(unix.NFTA_CHAIN_NAME))
			}
			return nil
		})
		if err != nil {
			return o, err
		}
		err = c.list(unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, func(a fields) error {
			switch flags, name := a.number(unix.NFTA_SET_FLAGS), a.text(unix.NFTA_SET_NAME); {
			case flags&unix.NFT_SET_ANONYMOUS != 0:
			case flags&(unix.NFT_SET_MAP|unix.NFT_SET_OBJECT) != 0:
				o.Maps = append(o.Maps, name)
			default:
				o.Sets = append(o.Sets, name)
			}
			return nil
		})
		if err != nil {
			return o, err
		}
		err = c.list(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, func(a fields) error {
			if a.number(unix.NFTA_OBJ_TYPE) == unix.NFT_OBJECT_COUNTER {
				o.Counters = append(o.Counters, a.text(unix.NFTA_OBJ_NAME))
			}
			return nil
		})
		for _, l := range [][]string{o.Chains, o.Sets, o.Maps, o.Counters} {
			slices.Sort(l)
		}
		return o, err
	}, func(a, b hal.FirewallObjects) bool {
		return slices.Equal(a.Chains, b.Chains) && slices.Equal(a.Sets, b.Sets) &&
			slices.Equal(a.Maps, b.Maps) && slices.Equal(a.Counters, b.Counters)
	})
}

// Counters reads the named counters; none when there is no table.
func (f *firewall) Counters(ctx context.Context) (map[string]hal.Counter, error) {
	c, err := openTable(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	counters := make(map[string]hal.Counter)
	err = c.list(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, func(a fields) error {
		if a.number(unix.NFTA_OBJ_TYPE) != unix.NFT_OBJECT_COUNTER {
			return nil
		}
		values, err := parseFields(a[unix.NFTA_OBJ_DATA])
		if err != nil {
			return err
		}
		counters[a.text(unix.NFTA_OBJ_NAME)] = hal.Counter{
			Packets: values.number(unix.NFTA_COUNTER_PACKETS), Bytes: values.number(unix.NFTA_COUNTER_BYTES),
		}
		return nil
	})
	return counters, err
}

const (
	nfHeaderLength = 4 // of each nfnetlink message, before its attributes

	chainFlags   = 10     // NFTA_CHAIN_FLAGS
	chainBinding = 1 << 2 // NFT_CHAIN_BINDING: nft made the chain for a block inside a rule
)

// dumpBuffer is how much of a listing is asked for at a time. The kernel walks a set from its start for each part, so that
// listing 65,536 elements in small parts takes seconds; it gives at most 32 KiB.
const dumpBuffer = 64 << 10

// tableConn reads the objects of table inet trenza: nfnetlink messages as in linux/netfilter/nf_tables.h.
type tableConn struct {
	*netlink.Conn
	ctx       context.Context
	disturbed bool // the kernel changed during a reading
}

func openTable(ctx context.Context) (*tableConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: dumpBuffer})
	if err != nil {
		return nil, kernelError(err, "open an nfnetlink socket")
	}
	_ = c.SetOption(netlink.ExtendedAcknowledge, true) // for better messages, where the kernel has them
	return &tableConn{Conn: c, ctx: ctx}, nil
}

// readTable reads until what it read is one state: no transaction was committed meanwhile, or two readings in a row are
// equal (transactions that change other things, such as a learned element, must not starve the reader).
func readTable[T any](ctx context.Context, read func(*tableConn) (T, error), equal func(a, b T) bool) (T, error) {
	var before T
	for i := range dumpAttempts {
		c, err := openTable(ctx)
		if err != nil {
			return before, err
		}
		generation, err := c.generation()
		if err != nil {
			c.Close()
			return before, err
		}
		now, err := read(c)
		if err == nil {
			var after uint64
			after, err = c.generation()
			c.disturbed = c.disturbed || after != generation
		}
		c.Close()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return now, err
		case !c.disturbed, i > 0 && equal(before, now):
			return now, nil
		}
		before = now
	}
	return before, fmt.Errorf("table inet %s changed during each of %d readings; try again", table, dumpAttempts)
}

// list calls f with each object of one kind in the table. No table is no objects.
func (c *tableConn) list(get uint16, tableAttribute uint16, f func(fields) error) error {
	return c.ask(get, netlink.Dump, map[uint16]string{tableAttribute: table}, func(a fields) error {
		if a.text(tableAttribute) != table {
			return nil // the kernel filters some kinds by family alone
		}
		return f(a)
	})
}

// eachElement calls f with each element of a set.
func (c *tableConn) eachElement(set string, f func(fields) error) error {
	names := map[uint16]string{unix.NFTA_SET_ELEM_LIST_TABLE: table, unix.NFTA_SET_ELEM_LIST_SET: set}
	return c.ask(unix.NFT_MSG_GETSETELEM, netlink.Dump, names, func(a fields) error {
		return eachNested(a[unix.NFTA_SET_ELEM_LIST_ELEMENTS], func(_ uint16, b []byte) error {
			e, err := parseFields(b)
			if err != nil {
				return err
			}
			return f(e)
		})
	})
}

// generation is the number of the ruleset's last transaction.
func (c *tableConn) generation() (uint64, error) {
	var n uint64
	err := c.ask(unix.NFT_MSG_GETGEN, 0, nil, func(a fields) error {
		n = a.number(unix.NFTA_GEN_ID)
		return nil
	})
	return n, err
}

// exists tells whether the table is there, and gives its fields.
func (c *tableConn) exists() (fields, bool, error) {
	var found fields
	err := c.ask(unix.NFT_MSG_GETTABLE, 0, map[uint16]string{unix.NFTA_TABLE_NAME: table}, func(a fields) error {
		found = a
		return nil
	})
	return found, found != nil, err
}

func (c *tableConn) ask(get uint16, flags netlink.HeaderFlags, names map[uint16]string, f func(fields) error) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	request := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
	for kind, name := range names {
		request = appendAttribute(request, kind, append([]byte(name), 0))
	}
	answers, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | get), Flags: netlink.Request | flags},
		Data:   request,
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return kernelError(err, "read table inet %s", table)
	}
	for _, m := range answers {
		c.disturbed = c.disturbed || interrupted(m)
		if len(m.Data) < nfHeaderLength {
			return fmt.Errorf("read table inet %s: message of %d bytes", table, len(m.Data))
		}
		a, err := parseFields(m.Data[nfHeaderLength:])
		if err == nil {
			err = f(a)
		}
		if err != nil {
			return fmt.Errorf("read table inet %s: %w", table, err)
		}
	}
	return nil
}

// fields are the attributes of a message or of a nested attribute, by type, the flags of the type taken off.
// Numbers in nfnetlink are in network order.
type fields map[uint16][]byte

func parseFields(b []byte) (fields, error) {
	a, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return nil, err
	}
	f := make(fields)
	for a.Next() {
		f[a.Type()] = a.Bytes()
	}
	return f, a.Err()
}

func (f fields) text(kind uint16) string {
	b := f[kind]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func (f fields) number(kind uint16) uint64 {
	switch b := f[kind]; len(b) {
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
