package catalog_test

import (
	"testing"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/dpi"
)

// TestProtocolHints: every hint is a protocol that the packet parsers know by that name.
func TestProtocolHints(t *testing.T) {
	c, err := catalog.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range c.Apps() {
		for _, p := range a.Protocols {
			if _, ok := dpi.ParseProtocol(p); !ok {
				t.Errorf("%s: no parser finds the protocol %q", a.ID, p)
			}
			if got, ok := c.Protocol(p); !ok || got.ID != a.ID {
				t.Errorf("protocol %s of %s is found as %q", p, a.ID, got.ID)
			}
		}
	}
	if a, _ := c.Protocol("zoom-media"); a.ID != "zoom" {
		t.Errorf("zoom-media means %q", a.ID)
	}
	if _, ok := c.Protocol("tls"); ok {
		t.Error("TLS means an application")
	}
}
