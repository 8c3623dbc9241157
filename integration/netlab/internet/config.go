package internet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
)

// Config says what Run serves. It goes through JSON to the child process that the lab starts in the namespace; a zero
// field, except CA and Socket, stands for its default.
type Config struct {
	// Listen are the addresses to listen on; default all of both families. Answers always leave from the address that
	// was asked. Addresses that are not assigned yet are fine (IP_FREEBIND).
	Listen []netip.Addr `json:"listen,omitempty"`
	Ports  Ports        `json:"ports,omitzero"`
	// Names is the table that DNS answers from and that certificates are made for; default Names().
	Names []Name `json:"names,omitempty"`
	// CA is the path to which the certificate of the lab CA is written, PEM, mode 0644. Required.
	CA string `json:"ca"`
	// Socket is the path of the recorder's unix socket. Required; at most 107 bytes (unix(7)).
	Socket string `json:"socket"`
	// Records is how many observations the recorder keeps; default 65536.
	Records int `json:"records,omitempty"`
	// Iperf3 is the binary to start on request; default `iperf3` on the PATH.
	Iperf3 string `json:"iperf3,omitempty"`
	// Log takes what an operator may want to know; nil discards it.
	Log *slog.Logger `json:"-"`
}

// Ports are the ports of the servers. A list that is nil takes its default; an empty list means that the server is off.
type Ports struct {
	DNS     []uint16 `json:"dns"`      // 53, UDP and TCP
	HTTP    []uint16 `json:"http"`     // 80, 8080
	HTTPS   []uint16 `json:"https"`    // 443, 8443; TCP for TLS, UDP for QUIC
	UDPEcho []uint16 `json:"udp_echo"` // 7 and 3478
	Game    []uint16 `json:"game"`     // 27015 (Steam), 3074 (Xbox), 8801 (Zoom media)
	TCP     []uint16 `json:"tcp"`      // 7, 22, 993, 5222, 5223: greet with the seen source, then echo
	Stream  []uint16 `json:"stream"`   // 9000: throughput
}

// DefaultPorts are the ports of the lab.
func DefaultPorts() Ports {
	return Ports{
		DNS:     []uint16{53},
		HTTP:    []uint16{80, 8080},
		HTTPS:   []uint16{443, 8443},
		UDPEcho: []uint16{7, 3478},
		Game:    []uint16{27015, 3074, 8801},
		TCP:     []uint16{7, 22, 993, 5222, 5223},
		Stream:  []uint16{9000},
	}
}

const (
	defaultRecords = 1 << 16
	maxSocketPath  = 107
)

// withDefaults fills in what is not set and says what is impossible.
func (c Config) withDefaults() (Config, error) {
	if c.CA == "" {
		return c, errors.New("no path for the CA certificate: set CA")
	}
	if c.Socket == "" || len(c.Socket) > maxSocketPath {
		return c, fmt.Errorf("socket path %q: set Socket to a path of at most %d bytes", c.Socket, maxSocketPath)
	}
	if c.Records < 0 {
		return c, fmt.Errorf("recorder of %d records: want 1 or more", c.Records)
	}
	if c.Records == 0 {
		c.Records = defaultRecords
	}
	if len(c.Listen) == 0 {
		c.Listen = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	if len(c.Names) == 0 {
		c.Names = Names()
	}
	if err := checkNames(c.Names); err != nil {
		return c, err
	}
	if c.Iperf3 == "" {
		c.Iperf3 = "iperf3"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := DefaultPorts()
	for _, p := range []struct{ set, def *[]uint16 }{
		{&c.Ports.DNS, &d.DNS}, {&c.Ports.HTTP, &d.HTTP}, {&c.Ports.HTTPS, &d.HTTPS}, {&c.Ports.UDPEcho, &d.UDPEcho},
		{&c.Ports.Game, &d.Game}, {&c.Ports.TCP, &d.TCP}, {&c.Ports.Stream, &d.Stream},
	} {
		if *p.set == nil {
			*p.set = *p.def
		}
	}
	return c, nil
}
