package engine_test

import (
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
)

// TestBondThatCannotBe: a bond that cannot even be made says why in the link's state, and the other links do not feel it.
func TestBondThatCannotBe(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, func(c *config.Config) {
		l := config.Link{Name: "bond", ID: flow.LinkID(len(c.Links) + 1), Weight: 1, Role: flow.Secondary, Device: "trenza4", Relay: &config.Relay{}}
		l.Probes = c.Links[0].Probes
		l.IPv4.Mode, l.IPv6.Mode = config.Auto, config.Auto
		c.Links = append(c.Links, l)
	})
	enginetest.Eventually(t, "the reason in the link's state", func() bool {
		return strings.Contains(linkOf(h, "bond").Reason, enginetest.ErrNoBonds.Error())
	})
	if l := linkOf(h, "bond"); l.Usable {
		t.Errorf("the bond is in use: %+v", l)
	}
	if l := linkOf(h, "fiber"); !l.Usable {
		t.Errorf("fiber is out of use: %+v", l)
	}
}
