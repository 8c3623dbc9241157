package linux

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"

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
		p := printer{names: make(map[string]string), parts: make(map[string]hash.Hash)}
		found := false
		request := appendText(tableRequest(), unix.NFTA_TABLE_NAME, table)
		err := c.query(unix.NFT_MSG_GETTABLE, unix.NLM_F_ACK, request, func(a fields) {
			found = true
			p.add("table", nil, keep(nil, a, unix.NFTA_TABLE_FLAGS, tableUserData))
		})
		if err != nil || !found {
			return "", err
		}
		// Rules name chains and sets, verdicts in sets name chains.
		for _, step := range []func(*tableConn) error{p.chains, p.sets, p.rules, p.objects, p.flowtables} {
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

// printer gathers a hash of each object's canonical form: its attributes in the kernel's order, each as its type (2 bytes), its
// length (4) and its content. There may be thousands of rules and elements: they share a buffer.
type printer struct {
	names   map[string]string    // anonymous set or chain -> the name that stands for it
	parts   map[string]hash.Hash // "kind name" -> hash of its canonical form; of several rules of a chain one after the other
	key     []byte               // of the part that was looked up last
	scratch []byte
}

// add takes in the canonical form of an object, or the next piece of it.
func (p *printer) add(kind string, name, canonical []byte) {
	p.key = append(append(append(p.key[:0], kind...), ' '), name...)
	h, ok := p.parts[string(p.key)]
	if !ok {
		h = sha256.New()
		p.parts[string(p.key)] = h
	}
	h.Write(canonical)
}

func (p *printer) sum() string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(p.parts)) {
		fmt.Fprintf(h, "%q %x\n", key, p.parts[key].Sum(nil))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// name is the name that stands for that of an anonymous object, or the name itself.
func (p *printer) name(attribute []byte) []byte {
	attribute = unterminated(attribute)
	if stand, ok := p.names[string(attribute)]; ok {
		return []byte(stand)
	}
	return attribute
}

// keep appends those attributes that are of some types.
func keep(out []byte, a fields, kinds ...uint16) []byte {
	for kind, v := range attributes(a) {
		if slices.Contains(kinds, kind) {
			out = appendCanonical(out, kind, v)
		}
	}
	return out
}

func appendCanonical(b []byte, kind uint16, v []byte) []byte {
	b, at := beginCanonical(b, kind)
	return endCanonical(append(b, v...), at)
}

// beginCanonical opens an attribute whose length endCanonical fills in; at is where its content begins.
func beginCanonical(b []byte, kind uint16) (begun []byte, at int) {
	b = append(binary.BigEndian.AppendUint16(b, kind), 0, 0, 0, 0)
	return b, len(b)
}

func endCanonical(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at))
	return b
}

// chains also numbers the anonymous ones in the order in which the kernel lists them, which is that of their making.
func (p *printer) chains(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, func(a fields) {
		name := a.get(unix.NFTA_CHAIN_NAME)
		if a.number(chainFlags)&chainBinding != 0 {
			p.names[text(name)] = fmt.Sprintf("anonymous chain %d", len(p.names))
		}
		p.add("chain", p.name(name), keep(nil, a,
			unix.NFTA_CHAIN_HOOK, unix.NFTA_CHAIN_POLICY, unix.NFTA_CHAIN_TYPE, chainFlags, chainUserData))
	})
}

func (p *printer) rules(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETRULE, unix.NFTA_RULE_TABLE, func(a fields) {
		rule, at := beginCanonical(p.scratch[:0], 0)
		rule = keep(rule, a, unix.NFTA_RULE_COMPAT, unix.NFTA_RULE_USERDATA)
		rule = endCanonical(p.expressions(rule, a.get(unix.NFTA_RULE_EXPRESSIONS)), at)
		p.add("rules", p.name(a.get(unix.NFTA_RULE_CHAIN)), rule)
		p.scratch = rule
	})
}

func (p *printer) sets(c *tableConn) error {
	var all []fields
	if err := c.list(unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, func(a fields) {
		all = append(all, bytes.Clone(a))
	}); err != nil {
		return err
	}
	for _, a := range all {
		b := keep(nil, a, unix.NFTA_SET_FLAGS, unix.NFTA_SET_KEY_TYPE, unix.NFTA_SET_KEY_LEN, unix.NFTA_SET_DATA_TYPE,
			unix.NFTA_SET_DATA_LEN, unix.NFTA_SET_POLICY, unix.NFTA_SET_DESC, unix.NFTA_SET_TIMEOUT,
			unix.NFTA_SET_GC_INTERVAL, unix.NFTA_SET_USERDATA, unix.NFTA_SET_OBJ_TYPE)
		b = p.innards(b, a, setExpression, setExpressions)
		name, flags := a.text(unix.NFTA_SET_NAME), a.number(unix.NFTA_SET_FLAGS)
		if flags&(unix.NFT_SET_TIMEOUT|setDynamic) == 0 {
			var err error
			if b, err = p.elements(b, c, name); err != nil {
				return err
			}
		}
		if flags&unix.NFT_SET_ANONYMOUS == 0 {
			p.add("set", []byte(name), b)
			continue
		}
		digest := sha256.Sum256(b)
		p.names[name] = "anonymous set " + hex.EncodeToString(digest[:16])
	}
	return nil
}

// elements appends the canonical form of a set's content, sorted: the kernel lists a hash table in no order that means anything.
func (p *printer) elements(out []byte, c *tableConn, set string) ([]byte, error) {
	b := p.scratch[:0]
	var ends []int
	err := c.eachElement(set, func(e fields) {
		b = keep(b, e, unix.NFTA_SET_ELEM_KEY, elementKeyEnd, unix.NFTA_SET_ELEM_FLAGS,
			unix.NFTA_SET_ELEM_TIMEOUT, unix.NFTA_SET_ELEM_USERDATA, unix.NFTA_SET_ELEM_OBJREF)
		if data := e.get(unix.NFTA_SET_ELEM_DATA); data != nil {
			b = p.data(b, unix.NFTA_SET_ELEM_DATA, data)
		}
		b = p.innards(b, e, unix.NFTA_SET_ELEM_EXPR, elementInnards)
		ends = append(ends, len(b))
	})
	all := make([][]byte, len(ends))
	begin := 0
	for i, end := range ends {
		all[i], begin = b[begin:end], end
	}
	slices.SortFunc(all, bytes.Compare)
	p.scratch = b
	out = slices.Grow(out, len(b))
	for i, e := range all {
		if i > 0 && bytes.Equal(e, all[i-1]) {
			c.disturbed = true // the kernel was enlarging the hash table: see elementsAtRest
		}
		out = append(out, e...)
	}
	return out, err
}

func (p *printer) objects(c *tableConn) error {
	return c.list(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, func(a fields) {
		kind := a.number(unix.NFTA_OBJ_TYPE)
		b := keep(nil, a, unix.NFTA_OBJ_TYPE, objectUserData)
		switch kind {
		case unix.NFT_OBJECT_COUNTER:
		case objectTypeQuota:
			b = without(b, unix.NFTA_OBJ_DATA, a.get(unix.NFTA_OBJ_DATA), quotaConsumed)
		default:
			b = keep(b, a, unix.NFTA_OBJ_DATA)
		}
		p.add(fmt.Sprintf("object %d", kind), unterminated(a.get(unix.NFTA_OBJ_NAME)), b)
	})
}

func (p *printer) flowtables(c *tableConn) error {
	return c.list(getFlowtable, flowtableTable, func(a fields) {
		p.add("flowtable", unterminated(a.get(flowtableName)), keep(nil, a, flowtableHook, flowtableFlags))
	})
}

// innards appends the expressions of a set or an element: old kernels give one, later ones a list.
func (p *printer) innards(out []byte, a fields, one, many uint16) []byte {
	if e := a.get(one); e != nil {
		out = p.expression(out, e)
	}
	return p.expressions(out, a.get(many))
}

func (p *printer) expressions(out, list []byte) []byte {
	for kind, e := range attributes(list) {
		if kind == listElement {
			out = p.expression(out, e)
		}
	}
	return out
}

// expression appends the canonical form of one expression: its name and what of its data a person wrote.
func (p *printer) expression(out []byte, e fields) []byte {
	name, data := unterminated(e.get(expressionName)), e.get(expressionData)
	out = appendCanonical(out, expressionName, name)
	switch string(name) {
	case "counter", "last":
		return appendCanonical(out, expressionData, nil)
	case "quota":
		return without(out, expressionData, data, quotaConsumed)
	case "lookup":
		return p.rename(out, expressionData, data, lookupSet)
	case "dynset":
		return p.rename(out, expressionData, data, dynsetSetName)
	case "objref":
		return p.rename(out, expressionData, data, objrefSetName)
	case "immediate":
		out, at := beginCanonical(out, expressionData)
		for kind, v := range attributes(data) {
			if kind == immediateData {
				out = p.data(out, kind, v)
			} else {
				out = appendCanonical(out, kind, v)
			}
		}
		return endCanonical(out, at)
	}
	return appendCanonical(out, expressionData, data)
}

// data appends a value or a verdict, which may name an anonymous chain.
func (p *printer) data(out []byte, kind uint16, data []byte) []byte {
	out, at := beginCanonical(out, kind)
	for kind, v := range attributes(data) {
		if kind == dataVerdict {
			out = p.rename(out, kind, v, verdictChain)
		} else {
			out = appendCanonical(out, kind, v)
		}
	}
	return endCanonical(out, at)
}

// rename appends nested attributes; the name in one of them is replaced by the one that stands for it.
func (p *printer) rename(out []byte, kind uint16, nested []byte, attribute uint16) []byte {
	out, at := beginCanonical(out, kind)
	for kind, v := range attributes(nested) {
		if kind == attribute {
			v = p.name(v)
		}
		out = appendCanonical(out, kind, v)
	}
	return endCanonical(out, at)
}

// without appends nested attributes but one.
func without(out []byte, kind uint16, nested []byte, attribute uint16) []byte {
	out, at := beginCanonical(out, kind)
	for kind, v := range attributes(nested) {
		if kind != attribute {
			out = appendCanonical(out, kind, v)
		}
	}
	return endCanonical(out, at)
}
