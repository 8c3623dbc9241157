package engine_test

import (
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/engine/enginetest"
)

// TestServicesInTheWay: the router does not run beside what would undo its work, and says so; of what only hinders, it warns.
func TestServicesInTheWay(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	grave := func(device string) hal.Conflict {
		return hal.Conflict{Service: "sqm", Device: device, Grave: true, Text: "sqm shapes " + device, Fix: "switch it off"}
	}
	h.Hardware.SetConflicts(grave("eth9"), hal.Conflict{Service: "flow-offloading", Text: "flow offloading is on", Fix: "switch it off"})
	if err := h.ExamineServices(t.Context()); err != nil {
		t.Errorf("on a device that is no link: %v", err)
	}
	if !warned(h, "service") {
		t.Error("flow offloading is not warned of")
	}
	h.Hardware.SetConflicts(grave("wan1"))
	if err := h.ExamineServices(t.Context()); err == nil || !strings.Contains(err.Error(), "beside sqm: sqm shapes wan1. To do: switch it off") {
		t.Errorf("on a link's device: %v", err)
	}
}
