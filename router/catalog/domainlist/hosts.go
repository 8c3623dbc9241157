package domainlist

import (
	"io"
	"net/netip"
	"strings"
)

// ParseHosts reads a hosts file (hosts(5)) as lists of unwanted names have it: each name stands for itself alone, before it 0.0.0.0 or a
// loopback address. file is for messages. An error means that nothing could be read; wrong lines are in the list.
func ParseHosts(file string, from io.Reader) (List, error) {
	var r reader
	r.lines(file, from, func(line string) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			r.hostsLine(fields)
		}
	})
	return r.done()
}

func (r *reader) hostsLine(fields []string) {
	addr, err := netip.ParseAddr(fields[0])
	switch {
	case err != nil:
		r.wrong("%.80q is not an address: a line is an address and names", fields[0])
		return
	case len(fields) == 1:
		r.wrong("no name follows the address %s", addr)
		return
	}
	for _, name := range fields[1:] {
		host, ok := clean(name)
		switch {
		case !ok && isAddress(name):
			r.skip("addresses instead of names")
		case !ok:
			r.wrong("%.80q is not a host name", name)
		case !strings.Contains(host, ".") || host == "localhost.localdomain":
			r.skip("names of the machine itself, such as localhost")
		case !addr.IsUnspecified() && !addr.IsLoopback():
			r.skip("names that are given a real address")
		default:
			r.add(&r.list.Domains, Domain{Name: host, Exact: true})
		}
	}
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}
