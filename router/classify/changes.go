package classify

import (
	"net/netip"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// The kernel's maps of learned names, in table inet trenza. Names: (device mark, address) to label. Learned: (address, protocol,
// port) to label. The comment of an element is the host name.
const (
	Names4   = "names4"
	Names6   = "names6"
	Learned4 = "learned4"
	Learned6 = "learned6"
)

// Changes are what the kernel's maps need to agree with the knowledge: elements by name of the map. Delete first.
type Changes struct {
	Set, Delete map[string][]hal.Element
}

// Empty tells that there is nothing to do.
func (c Changes) Empty() bool { return len(c.Set) == 0 && len(c.Delete) == 0 }

func (c *Changes) set(name string, e hal.Element) {
	if c.Set == nil {
		c.Set = map[string][]hal.Element{}
	}
	c.Set[name] = append(c.Set[name], e)
}

func (c *Changes) delete(name string, key []hal.KeyPart) {
	if c.Delete == nil {
		c.Delete = map[string][]hal.Element{}
	}
	c.Delete[name] = append(c.Delete[name], hal.Element{Key: key})
}

// nameKey is a destination as one device knows it.
type nameKey struct {
	device flow.DeviceID
	addr   netip.Addr
}

func (k nameKey) set() string {
	if k.addr.Is4() {
		return Names4
	}
	return Names6
}

func (k nameKey) key() []hal.KeyPart { return []hal.KeyPart{uint32(k.device.Mark()), k.addr} }

func (k serviceKey) key() []hal.KeyPart { return []hal.KeyPart{k.addr, k.proto, k.port} }

// element is a name as the kernel's maps have it.
func (v *name) element(key []hal.KeyPart, now time.Time) hal.Element {
	return hal.Element{
		Key: key, Value: uint32(v.label), Timeout: v.expires.Sub(now), Comment: v.comment(),
	}
}

// serviceKey is a destination as everyone knows it.
type serviceKey struct {
	addr  netip.Addr
	proto flow.Proto
	port  uint16
}

func (k serviceKey) set() string {
	if k.addr.Is4() {
		return Learned4
	}
	return Learned6
}

// kernelKey is where an element stands.
type kernelKey interface {
	set() string
	key() []hal.KeyPart
}

func tellSet[K kernelKey](n *Names, c *Changes, k K, v *name, now time.Time) {
	if !n.alone {
		c.set(k.set(), v.element(k.key(), now))
	}
}

func tellDelete[K kernelKey](n *Names, c *Changes, k K) {
	if !n.alone {
		c.delete(k.set(), k.key())
	}
}

// appComment begins the comment of an element without a host; no host name can look like that.
const appComment = "app:"

// comment is what an element says of itself to people, and to a restarted router.
func (v *name) comment() string {
	if v.host == "" {
		return appComment + v.app
	}
	return comment(v.host)
}

// maxComment is the kernel's bound on an element's comment, in bytes.
const maxComment = 127

// comment is the host name, or of a longer one the end of it from a dot on, which nearly always has the same application.
func comment(host string) string {
	if len(host) <= maxComment {
		return host
	}
	end := host[len(host)-maxComment:]
	_, rest, _ := strings.Cut(end, ".")
	return rest
}

func nameKeyOf(e hal.Element) (k nameKey, ok bool) {
	if len(e.Key) != 2 {
		return k, false
	}
	mark, ok1 := e.Key[0].(uint32)
	addr, ok2 := e.Key[1].(netip.Addr)
	return nameKey{flow.Mark(mark).Device(), addr.Unmap()}, ok1 && ok2
}

func serviceKeyOf(e hal.Element) (k serviceKey, ok bool) {
	if len(e.Key) != 3 {
		return k, false
	}
	addr, ok1 := e.Key[0].(netip.Addr)
	proto, ok2 := e.Key[1].(flow.Proto)
	port, ok3 := e.Key[2].(uint16)
	return serviceKey{addr.Unmap(), proto, port}, ok1 && ok2 && ok3
}
