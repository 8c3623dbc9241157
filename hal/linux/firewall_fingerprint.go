package linux

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The fingerprint is a hash over the kernel's own binary form of the table, read over netlink: 5,000 rules take
// milliseconds, where a listing by nft takes a process and megabytes of JSON. What a person did not write is taken out or
// replaced:
//
//   - handles, positions and use counts, which differ after each load;
//   - what traffic changes: the content of counters, used-up quotas, times of last use;
//   - elements of sets with a timeout flag (learned state) or a dynamic flag (filled by rules);
//   - the names that nft gives to anonymous sets and chains ("__set3"), which depend on what was there before: a set's
//     is replaced by a hash of its content, a chain's by its place among the anonymous chains.

// Fingerprint hashes the table; "" when there is none.
func (f *firewall) Fingerprint(ctx context.Context) (string, error) {
	return readTable(ctx, func(c *tableConn) (string, error) {
		t, ok, err := c.exists()
		if !ok || err != nil {
			return "", err
		}
		p := printer{names: make(map[string]string), parts: make(map[string][]byte)}
		p.add("table", "", t.keep(unix.NFTA_TABLE_FLAGS, tableUserData))
		for _, step := range []func(*tableConn) error{p.chainNames, p.sets, p.chains, p.rules, p.objects, p.flowtables} {
			if err := step(c); err != nil {
				return "", err
			}
		}
		return p.sum(), nil
	}, func(a, b string) bool { return a == b })
}

// Attributes of linux/netfilter/nf_tables.h that x/sys/unix does not name.
const (
	tableUserData   = 6  // NFTA_TABLE_USERDATA
	chainUserData   = 12 // NFTA_CHAIN_USERDATA
	setExpression   = 17 // NFTA_SET_EXPR
	setExpressions  = 18 // NFTA_SET_EXPRESSIONS
	objectUserData  = 8  // NFTA_OBJ_USERDATA
	elementKeyEnd   = 10 // NFTA_SET_ELEM_KEY_END
	elementInnards  = 11 // NFTA_SET_ELEM_EXPRESSIONS
	setDynamic      = unix.NFT_SET_EVAL
	quotaConsumed   = 4 // NFTA_QUOTA_CONSUMED
	getFlowtable    = 23
	flowtableTable  = 1 // NFTA_FLOWTABLE_TABLE
	flowtableName   = 2 // NFTA_FLOWTABLE_NAME
	flowtableHook   = 3 // NFTA_FLOWTABLE_HOOK
	flowtableFlags  = 7 // NFTA_FLOWTABLE_FLAGS
	lookupSet       = 1 // NFTA_LOOKUP_SET
	dynsetSetName   = 1 // NFTA_DYNSET_SET_NAME
	objrefSetName   = 4 // NFTA_OBJREF_SET_NAME
	immediateData   = 2 // NFTA_IMMEDIATE_DATA
	listElement     = 1 // NFTA_LIST_ELEM
	expressionName  = 1 // NFTA_EXPR_NAME
	expressionData  = 2 // NFTA_EXPR_DATA
	dataVerdict     = 2 // NFTA_DATA_VERDICT
	verdictChain    = 2 // NFTA_VERDICT_CHAIN
	objectTypeQuota = 2 // NFT_OBJECT_QUOTA
)

// printer gathers the canonical form of each object.
type printer struct {
	names map[string]string // anonymous set or chain -> the name that stands for it
	parts map[string][]byte // "kind name" -> canonical bytes; several rules of a chain one after the other
}

func (p *printer) add(kind, name string, canonical []byte) {
	key := kind + " " + name
	p.parts[key] = append(p.parts[key], canonical...)
}

func (p *printer) sum() string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(p.parts)) {
		fmt.Fprintf(h, "%q %d\n", key, len(p.parts[key]))
		h.Write(p.parts[key])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// keep gives the canonical form of some attributes, in the order of the arguments.
func (f fields) keep(kinds ...uint16) []byte {
	var b []byte
	for _, k := range kinds {
		if v, ok := f[k]; ok {
			b = appendCanonical(b, k, v)
		}
	}
	return b
}

func appendCanonical(b []byte, kind uint16, v []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}

// chainNames numbers the anonymous chains in the order in which the kernel lists them, which is that of their making.
func (p *printer) chainNames(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, func(a fields) error {
		if a.number(chainFlags)&chainBinding != 0 {
			p.names[a.text(unix.NFTA_CHAIN_NAME)] = fmt.Sprintf("anonymous chain %d", len(p.names))
		}
		return nil
	})
}

func (p *printer) name(kernel string) string {
	if stand, ok := p.names[kernel]; ok {
		return stand
	}
	return kernel
}

func (p *printer) chains(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, func(a fields) error {
		p.add("chain", p.name(a.text(unix.NFTA_CHAIN_NAME)),
			a.keep(unix.NFTA_CHAIN_HOOK, unix.NFTA_CHAIN_POLICY, unix.NFTA_CHAIN_TYPE, chainFlags, chainUserData))
		return nil
	})
}

func (p *printer) rules(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETRULE, unix.NFTA_RULE_TABLE, func(a fields) error {
		expressions, err := p.expressions(a[unix.NFTA_RULE_EXPRESSIONS])
		if err != nil {
			return err
		}
		rule := append(a.keep(unix.NFTA_RULE_COMPAT, unix.NFTA_RULE_USERDATA), expressions...)
		p.add("rules", p.name(a.text(unix.NFTA_RULE_CHAIN)), appendCanonical(nil, 0, rule))
		return nil
	})
}

func (p *printer) sets(c *tableConn) error {
	var all []fields
	if err := c.list(unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, func(a fields) error {
		all = append(all, a)
		return nil
	}); err != nil {
		return err
	}
	for _, a := range all {
		name, flags := a.text(unix.NFTA_SET_NAME), a.number(unix.NFTA_SET_FLAGS)
		b := a.keep(unix.NFTA_SET_FLAGS, unix.NFTA_SET_KEY_TYPE, unix.NFTA_SET_KEY_LEN, unix.NFTA_SET_DATA_TYPE,
			unix.NFTA_SET_DATA_LEN, unix.NFTA_SET_POLICY, unix.NFTA_SET_DESC, unix.NFTA_SET_TIMEOUT,
			unix.NFTA_SET_GC_INTERVAL, unix.NFTA_SET_USERDATA, unix.NFTA_SET_OBJ_TYPE)
		if one := a[setExpression]; one != nil {
			e, err := p.expression(one)
			if err != nil {
				return err
			}
			b = append(b, e...)
		}
		many, err := p.expressions(a[setExpressions])
		if err != nil {
			return err
		}
		b = append(b, many...)
		if flags&(unix.NFT_SET_TIMEOUT|setDynamic) == 0 {
			elements, err := p.elements(c, name)
			if err != nil {
				return err
			}
			b = append(b, elements...)
		}
		if flags&unix.NFT_SET_ANONYMOUS == 0 {
			p.add("set", name, b)
			continue
		}
		digest := sha256.Sum256(b)
		p.names[name] = "anonymous set " + hex.EncodeToString(digest[:16])
	}
	return nil
}

// elements is the canonical form of a set's content. The kernel lists a hash table in no order that means anything.
func (p *printer) elements(c *tableConn, set string) ([]byte, error) {
	var all [][]byte
	err := c.eachElement(set, func(e fields) error {
		canonical := e.keep(unix.NFTA_SET_ELEM_KEY, elementKeyEnd, unix.NFTA_SET_ELEM_FLAGS,
			unix.NFTA_SET_ELEM_TIMEOUT, unix.NFTA_SET_ELEM_USERDATA, unix.NFTA_SET_ELEM_OBJREF)
		if data, ok := e[unix.NFTA_SET_ELEM_DATA]; ok {
			data, err := p.data(data)
			if err != nil {
				return err
			}
			canonical = appendCanonical(canonical, unix.NFTA_SET_ELEM_DATA, data)
		}
		if one := e[unix.NFTA_SET_ELEM_EXPR]; one != nil {
			x, err := p.expression(one)
			if err != nil {
				return err
			}
			canonical = append(canonical, x...)
		}
		many, err := p.expressions(e[elementInnards])
		if err != nil {
			return err
		}
		all = append(all, append(canonical, many...))
		return nil
	})
	slices.SortFunc(all, bytes.Compare)
	return bytes.Join(all, nil), err
}

func (p *printer) objects(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, func(a fields) error {
		kind := a.number(unix.NFTA_OBJ_TYPE)
		b := a.keep(unix.NFTA_OBJ_TYPE, objectUserData)
		switch kind {
		case unix.NFT_OBJECT_COUNTER:
		case objectTypeQuota:
			data, err := without(a[unix.NFTA_OBJ_DATA], quotaConsumed)
			if err != nil {
				return err
			}
			b = append(b, data...)
		default:
			b = append(b, a.keep(unix.NFTA_OBJ_DATA)...)
		}
		p.add(fmt.Sprintf("object %d", kind), a.text(unix.NFTA_OBJ_NAME), b)
		return nil
	})
}

func (p *printer) flowtables(c *tableConn) error {
	return c.list(getFlowtable, flowtableTable, func(a fields) error {
		p.add("flowtable", a.text(flowtableName), a.keep(flowtableHook, flowtableFlags))
		return nil
	})
}

func (p *printer) expressions(b []byte) ([]byte, error) {
	var out []byte
	err := eachNested(b, func(kind uint16, b []byte) error {
		if kind != listElement {
			return nil
		}
		e, err := p.expression(b)
		out = append(out, e...)
		return err
	})
	return out, err
}

// expression is the canonical form of one expression: its name and what of its data a person wrote.
func (p *printer) expression(b []byte) ([]byte, error) {
	e, err := parseFields(b)
	if err != nil {
		return nil, err
	}
	name, data := e.text(expressionName), e[expressionData]
	switch name {
	case "counter", "last":
		data = nil
	case "quota":
		data, err = without(data, quotaConsumed)
	case "lookup":
		data, err = p.rename(data, lookupSet)
	case "dynset":
		data, err = p.rename(data, dynsetSetName)
	case "objref":
		data, err = p.rename(data, objrefSetName)
	case "immediate":
		data, err = rewrite(data, func(kind uint16, v []byte) ([]byte, error) {
			if kind == immediateData {
				return p.data(v)
			}
			return v, nil
		})
	}
	return appendCanonical(appendCanonical(nil, expressionName, []byte(name)), expressionData, data), err
}

// data is the canonical form of a value or a verdict, which may name an anonymous chain.
func (p *printer) data(b []byte) ([]byte, error) {
	return rewrite(b, func(kind uint16, v []byte) ([]byte, error) {
		if kind == dataVerdict {
			return p.rename(v, verdictChain)
		}
		return v, nil
	})
}

// rename replaces the name in one attribute by the one that stands for it.
func (p *printer) rename(b []byte, attribute uint16) ([]byte, error) {
	return rewrite(b, func(kind uint16, v []byte) ([]byte, error) {
		if kind == attribute {
			return []byte(p.name(strings.TrimRight(string(v), "\x00"))), nil
		}
		return v, nil
	})
}

func without(b []byte, attribute uint16) ([]byte, error) {
	return rewrite(b, func(kind uint16, v []byte) ([]byte, error) {
		if kind == attribute {
			return nil, nil
		}
		return v, nil
	})
}

// rewrite is the canonical form of nested attributes with each content passed through f.
func rewrite(b []byte, f func(kind uint16, v []byte) ([]byte, error)) ([]byte, error) {
	var out []byte
	err := eachNested(b, func(kind uint16, v []byte) error {
		v, err := f(kind, v)
		out = appendCanonical(out, kind, v)
		return err
	})
	return out, err
}

func eachNested(b []byte, f func(kind uint16, v []byte) error) error {
	a, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	for a.Next() {
		if err := f(a.Type(), a.Bytes()); err != nil {
			return err
		}
	}
	return a.Err()
}
