package linux

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// Objects lists the named chains, sets, maps and counters; what nft made for itself (anonymous sets and chains) is not
// among them.
func (f *firewall) Objects(ctx context.Context) (hal.FirewallObjects, error) {
	return readTable(ctx, func(c *tableConn) (hal.FirewallObjects, error) {
		var o hal.FirewallObjects
		err := c.list(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, func(a fields) {
			if a.number(chainFlags)&chainBinding == 0 {
				o.Chains = append(o.Chains, a.text(unix.NFTA_CHAIN_NAME))
			}
		})
		if err != nil {
			return o, err
		}
		err = c.list(unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, func(a fields) {
			switch flags, name := a.number(unix.NFTA_SET_FLAGS), a.text(unix.NFTA_SET_NAME); {
			case flags&unix.NFT_SET_ANONYMOUS != 0:
			case flags&(unix.NFT_SET_MAP|unix.NFT_SET_OBJECT) != 0:
				o.Maps = append(o.Maps, name)
			default:
				o.Sets = append(o.Sets, name)
			}
		})
		if err != nil {
			return o, err
		}
		err = c.list(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, func(a fields) {
			if a.number(unix.NFTA_OBJ_TYPE) == unix.NFT_OBJECT_COUNTER {
				o.Counters = append(o.Counters, a.text(unix.NFTA_OBJ_NAME))
			}
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
	defer c.close()
	counters := make(map[string]hal.Counter)
	err = c.list(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, func(a fields) {
		if a.number(unix.NFTA_OBJ_TYPE) == unix.NFT_OBJECT_COUNTER {
			values := fields(a.get(unix.NFTA_OBJ_DATA))
			counters[a.text(unix.NFTA_OBJ_NAME)] = hal.Counter{
				Packets: values.number(unix.NFTA_COUNTER_PACKETS), Bytes: values.number(unix.NFTA_COUNTER_BYTES),
			}
		}
	})
	return counters, err
}

const (
	chainFlags   = 10     // NFTA_CHAIN_FLAGS
	chainBinding = 1 << 2 // NFT_CHAIN_BINDING: nft made the chain for a block inside a rule
)

// tableConn reads the objects of table inet trenza: nfnetlink messages as in linux/netfilter/nf_tables.h. What it hands out is valid
// until the function that takes it returns.
type tableConn struct {
	*kernelSocket
	ctx       context.Context
	disturbed bool // the kernel changed during a reading
}

func openTable(ctx context.Context) (*tableConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{})
	if err != nil {
		return nil, err
	}
	return &tableConn{kernelSocket: s, ctx: ctx}, nil
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
			c.close()
			return before, err
		}
		now, err := read(c)
		if err == nil {
			var after uint64
			after, err = c.generation()
			c.disturbed = c.disturbed || after != generation
		}
		c.close()
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
func (c *tableConn) list(get uint16, tableAttribute uint16, f func(fields)) error {
	return c.query(get, unix.NLM_F_DUMP, appendText(tableRequest(), tableAttribute, table), func(a fields) {
		if string(unterminated(a.get(tableAttribute))) == table { // the kernel filters some kinds by family alone
			f(a)
		}
	})
}

// eachElement calls f with each element of a set.
func (c *tableConn) eachElement(set string, f func(fields)) error {
	request := appendText(tableRequest(), unix.NFTA_SET_ELEM_LIST_TABLE, table)
	request = appendText(request, unix.NFTA_SET_ELEM_LIST_SET, set)
	return c.query(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, request, func(a fields) {
		for _, e := range attributes(a.get(unix.NFTA_SET_ELEM_LIST_ELEMENTS)) {
			f(e)
		}
	})
}

// generation is the number of the ruleset's last transaction.
func (c *tableConn) generation() (uint64, error) {
	var n uint64
	err := c.query(unix.NFT_MSG_GETGEN, unix.NLM_F_ACK, tableRequest(), func(a fields) { n = a.number(unix.NFTA_GEN_ID) })
	return n, err
}

// query asks for objects and calls f with the fields of each. What is not there is no error.
func (c *tableConn) query(get, flags uint16, request []byte, f func(fields)) error {
	err := c.ask(c.ctx, tableMessage(get), flags, request, func(m message) {
		if len(m.payload) >= sizeofGenMsg {
			f(m.payload[sizeofGenMsg:])
		}
	})
	switch {
	case errors.Is(err, errChangedMeanwhile):
		c.disturbed = true
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	}
	return kernelError(err, "read table inet %s", table)
}

// tableMessage is the netlink type of a message to or from nftables.
func tableMessage(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

// tableRequest starts the payload of a request that speaks of the family inet.
func tableRequest() []byte { return netfilterRequest(unix.NFPROTO_INET, nfnetlinkVersion, 0) }
