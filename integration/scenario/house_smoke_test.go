package scenario

import (
	"testing"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
)

// TestHouseStands is the least that must be true: a page is fetched by name, over the link that the rules say.
func TestHouseStands(t *testing.T) {
	h := newHouse(t, home.Policy())
	a, err := h.Agent("laptop").HTTP(t.Context(), client.HTTP{Target: client.Target{Host: "www.ing.de"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if link := h.linkOf(a.Seen.Remote.Addr()); link != "fiber" {
		t.Errorf("the bank saw %v (link %q), want fiber", a.Seen.Remote, link)
	}
}
