package census

import (
	"net/netip"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/flow"
)

// memory is what the capture has taught so far: names, by client. Clients are numbered as the router numbers its devices.
type memory struct {
	apps     *catalog.Catalog
	interner *classify.Interner
	names    *classify.Names
	numbers  map[netip.Addr]flow.DeviceID
}

// maxClients bounds the clients that anything was learned for. 0 stands for one of whom nothing is known.
const maxClients = 1<<16 - 1

func newMemory(apps *catalog.Catalog) *memory {
	m := &memory{apps: apps, interner: classify.NewInterner(apps)}
	m.clear()
	return m
}

func (m *memory) clear() {
	m.names, m.numbers = classify.NewNamesAlone(m.apps, m.interner), map[netip.Addr]flow.DeviceID{}
}

// known returns a client's number, or 0.
func (m *memory) known(a netip.Addr) flow.DeviceID { return m.numbers[a] }

// number returns a client's number, or gives it one. When all are taken, all that was learned is forgotten: to take one
// client's names out of so many would cost each new client as much.
func (m *memory) number(a netip.Addr) flow.DeviceID {
	n, ok := m.numbers[a]
	if !ok {
		if len(m.numbers) == maxClients {
			m.clear()
		}
		n = flow.DeviceID(len(m.numbers) + 1)
		m.numbers[a] = n
	}
	return n
}
