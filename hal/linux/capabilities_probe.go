package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// throwaway is the table in which rulesets are tried: never the router's own.
const throwaway = "trenza_probe"

// probeTimeout bounds one try: a module that loads slowly is no reason to hang the start.
const probeTimeout = 10 * time.Second

// tryRuleset tries to load a table of the given parts. The part "ip6" puts those after it
// in a table of that family.
func tryRuleset(parts ...string) func(*attempt) error {
	return func(a *attempt) error {
		var b strings.Builder
		table := func(family string) {
			// The table of an earlier try goes first; two nat chains would otherwise hang at one hook.
			fmt.Fprintf(&b, "add table %[1]s %[2]s\ndelete table %[1]s %[2]s\ntable %[1]s %[2]s {\n", family, throwaway)
		}
		table("inet")
		for _, p := range parts {
			if p == "ip6" {
				b.WriteString("}\n")
				table(p)
				continue
			}
			b.WriteString(p + "\n")
		}
		b.WriteString("}\n")
		ctx, cancel := context.WithTimeout(a.ctx, probeTimeout)
		defer cancel()
		if !a.private {
			return a.nft.Check(ctx, b.String())
		}
		return a.nft.Load(ctx, b.String())
	}
}

// tryRules tries to add rules and to read them back as they are: an old kernel ignores what it does not know.
func tryRules(family hal.Family, rules ...hal.Rule) func(*attempt) error {
	return inPrivate(func(a *attempt) error {
		for _, r := range rules {
			r.Family = family
			if err := (routing{}).AddRule(a.ctx, r); err != nil {
				return err
			}
			if err := (routing{}).DeleteRule(a.ctx, r); err != nil {
				return fmt.Errorf("the kernel did not keep the rule as it was asked to: %w", err)
			}
		}
		return nil
	})
}

func inPrivate(probe func(*attempt) error) func(*attempt) error {
	return func(a *attempt) error {
		if !a.private {
			return fmt.Errorf("%w: %w", errUntried, a.denied)
		}
		return probe(a)
	}
}

// tryConntrack lists the connections of the namespace.
func tryConntrack(a *attempt) error {
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{})
	if err != nil {
		return err
	}
	defer s.close()
	request := netfilterRequest(unix.AF_INET, nfnetlinkVersion, 0)
	err = s.ask(a.ctx, connectionGet, unix.NLM_F_DUMP, request, func(message) {})
	return kernelError(err, "list connections")
}

func trySocketOption(set func(socket int) error) func(*attempt) error {
	return func(*attempt) error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return kernelError(err, "open a socket")
		}
		defer unix.Close(s)
		return kernelError(set(s), "set the socket's option")
	}
}

// tryDestroy removes an element that is not there.
var tryDestroy = inPrivate(func(a *attempt) error {
	if err := tryRuleset("set s { type ipv4_addr; }")(a); err != nil {
		return err
	}
	c, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{})
	if err != nil {
		return err
	}
	defer c.close()
	b := newBatch(c.sequence)
	b.elements(destroyElements, 0, throwaway, "s", []rawElement{{key: []byte{192, 0, 2, 1}}}, appendKeyOf)
	return kernelError(c.transact(b), "destroy a set element")
})

// trySysctl looks for a key that the kernel has when the feature is compiled in and its module is loaded, which
// the tries before it did.
func trySysctl(key string) func(*attempt) error {
	return func(*attempt) error {
		_, err := sysctls{root: "/proc/sys"}.Sysctl(key)
		return err
	}
}

// tryQdisc tries to put a queueing discipline on the private loopback device.
func tryQdisc(kind string) func(*attempt) error {
	return inPrivate(func(*attempt) error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return kernelError(err, "find the loopback device")
		}
		at := netlink.QdiscAttrs{LinkIndex: lo.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
		var q netlink.Qdisc
		switch kind {
		case "htb":
			q = netlink.NewHtb(at)
		case "clsact":
			at.Handle, at.Parent = netlink.MakeHandle(0xffff, 0), netlink.HANDLE_CLSACT
			q = &netlink.Clsact{QdiscAttrs: at}
		case "netem":
			q = netlink.NewNetem(at, netlink.NetemQdiscAttrs{})
		default:
			q = &netlink.GenericQdisc{QdiscAttrs: at, QdiscType: kind}
		}
		if err := netlink.QdiscAdd(q); err != nil {
			return kernelError(err, "add qdisc %s", kind)
		}
		return kernelError(netlink.QdiscDel(q), "delete qdisc %s", kind)
	})
}

// tryDevice tries to make a device in the private namespace.
func tryDevice(kind string) func(*attempt) error {
	return inPrivate(func(*attempt) error {
		l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: "trenzaprobe"}, LinkType: kind}
		if err := netlink.LinkAdd(l); err != nil {
			return kernelError(err, "add a device of type %s", kind)
		}
		return kernelError(netlink.LinkDel(l), "delete a device of type %s", kind)
	})
}

// tryTun makes a TUN device that goes with its file.
var tryTun = inPrivate(func(*attempt) error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no /dev/net/tun: %w", hal.ErrUnsupported)
	} else if err != nil {
		return err
	}
	defer f.Close()
	r, err := unix.NewIfreq("trenzaprobe")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var made error
	if err := raw.Control(func(fd uintptr) { made = unix.IoctlIfreq(int(fd), unix.TUNSETIFF, r) }); err != nil {
		return err
	}
	return kernelError(made, "make a TUN device")
})
