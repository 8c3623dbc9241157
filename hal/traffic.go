package hal

import (
	"context"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Connection is an entry of the kernel's connection table. Orig is as the client sent it, Reply as the answer
// arrives (its Dst is the router's own address on the link when source NAT is at work). ICMP echo has its
// identifier in both ports of Orig and Reply.
type Connection struct {
	ID            uint32 // CTA_ID
	Orig, Reply   flow.Key
	Mark          flow.Mark
	TCPState      string // "ESTABLISHED", ...; "" for others
	OrigPackets   uint64
	OrigBytes     uint64
	ReplyPackets  uint64
	ReplyBytes    uint64
	Start         time.Time // zero when the kernel keeps no timestamps
	Timeout       time.Duration
	Seen, Assured bool // both directions seen; will not be dropped early
}

// ConnectionEventKind says what happened to a connection.
type ConnectionEventKind uint8

const (
	ConnectionNew ConnectionEventKind = iota
	ConnectionUpdated
	ConnectionDestroyed // carries the final counters
)

// ConnectionEvent is a change in the connection table.
type ConnectionEvent struct {
	Kind       ConnectionEventKind
	Connection Connection
}

// MarkChange gives a connection other bits in its mark: those of Mask become those of Mark, the others stay.
type MarkChange struct {
	Connection Connection // its Orig counts
	Mark, Mask flow.Mark
}

// Connections is the kernel's connection table of this network namespace, both families.
type Connections interface {
	// Connections calls f for each entry whose mark matches (entry & mask == mark); a mask of 0 takes all.
	Connections(ctx context.Context, mark, mask flow.Mark, f func(Connection)) error
	// FlushConnections deletes, inside the kernel, all entries whose mark matches; the mask must not be 0.
	FlushConnections(ctx context.Context, mark, mask flow.Mark) error
	// DeleteConnection deletes one entry; ErrNotFound when it is gone already.
	DeleteConnection(ctx context.Context, c Connection) error
	// MarkConnections changes marks, each in one step, so that every packet sees the mark before or after. It returns how many connections
	// it found: those that are gone are passed over. On error the changes before it hold. A mask must not be 0.
	MarkConnections(ctx context.Context, changes []MarkChange) (found int, err error)
	// WatchConnections calls f on one goroutine for every event of some kinds (none named: of all) until the context ends, and
	// lost on the same when the kernel dropped messages, and once at the start, as soon as it listens. New and updated
	// connections come without counters and timestamps. The kernel makes no message of a kind that nobody listens to:
	// that is a microsecond less for each new flow.
	WatchConnections(ctx context.Context, f func(ConnectionEvent), lost func(), kinds ...ConnectionEventKind) error
}

// PacketCopy is a copy that an nft `log group` statement sent up. Packet starts at the IP header.
// It is valid only until the callback returns.
type PacketCopy struct {
	Packet  []byte
	Mark    flow.Mark // the packet's mark; whether it is the connection's is for the place of the log rule to say
	Prefix  string    // of the log statement
	InDev   string
	OutDev  string
	SrcMAC  flow.MAC // zero on output
	Arrived time.Time
}

// PacketCopies hands out the copies that the kernel logs to an NFLOG group.
type PacketCopies interface {
	// WatchPackets calls f on one goroutine for every copy until the context ends; ErrExists when another process
	// listens to the group. Copies that f is too slow for are dropped: they teach, and nothing depends on each.
	WatchPackets(ctx context.Context, group uint16, f func(PacketCopy)) error
}

// PacketVerdict is what becomes of a packet that the kernel holds. The zero value lets it pass on as it is to the chains behind the one
// that held it. A Mark that is not 0 becomes the packet's: those chains may make it the connection's.
type PacketVerdict struct {
	Drop bool
	Mark flow.Mark
}

// PacketQueue judges packets that the kernel holds: capability "nft-queue".
type PacketQueue interface {
	// JudgePackets calls f on one goroutine for every packet that a `queue` statement of that number holds, until the context ends; ErrExists when
	// another process does. What finds no room in the queue passes.
	JudgePackets(ctx context.Context, queue uint16, f func(PacketCopy) PacketVerdict) error
	// HoldPackets is JudgePackets for who needs several packets to judge one: f returns at once, and a packet waits until its verdict is told, from any
	// goroutine. The copy is valid until f returns. A packet whose verdict is never told is lost with the context's end.
	HoldPackets(ctx context.Context, queue uint16, f func(c PacketCopy, tell func(PacketVerdict))) error
}

// Via says which way a socket's packets leave. The zero value is the machine's own choice.
type Via struct {
	Device string     // SO_BINDTODEVICE
	Mark   flow.Mark  // SO_MARK: selects the link's routing table
	Source netip.Addr // bind address
}

// Sockets opens sockets that are tied to one link, for probes and for upstream DNS.
type Sockets interface {
	// Dial connects "tcp", "tcp4", "tcp6", "udp", "udp4" or "udp6" to an address (never a name) over the link.
	Dial(ctx context.Context, via Via, network string, to netip.AddrPort) (Conn, error)
	// Ping sends one ICMP or ICMPv6 echo over the link and waits for its answer.
	Ping(ctx context.Context, via Via, to netip.Addr) (rtt time.Duration, err error)
}
