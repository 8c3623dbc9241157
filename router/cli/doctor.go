package cli

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/hardware"
	"github.com/trenza-router/trenza/hal/linux"
)

type doctorCommand struct {
	Nft string `help:"The nft program." default:"nft"`
}

func (c *doctorCommand) Run(s *session) error {
	m, err := linux.New(linux.Options{Nft: c.Nft, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	found, err := m.Capabilities(s.ctx)
	if err != nil {
		return fmt.Errorf("examining this machine: %w", err)
	}
	devices := hardware.New(hardware.Options{Kernel: m})
	defer devices.Close()
	rivals, err := devices.Conflicts(s.ctx)
	if err != nil {
		return fmt.Errorf("asking this machine's services: %w", err)
	}
	for _, c := range rivals {
		found = append(found, hal.Capability{Name: "no-" + c.Service, What: c.Text, Required: c.Grave, Fix: c.Fix})
	}
	if err := s.print(found, func(w io.Writer) { printCapabilities(w, found) }); err != nil {
		return err
	}
	for _, f := range found {
		if f.Required && !f.Present {
			return exitError{exitNo, nil}
		}
	}
	return nil
}

func printCapabilities(w io.Writer, found []hal.Capability) {
	table(w, func(t io.Writer) {
		for _, f := range found {
			state, note := "yes", f.What
			switch {
			case !f.Present && f.Required:
				state = "MISSING"
			case !f.Present:
				state = "no"
			}
			if !f.Present {
				if f.Instead != "" {
					note += "; instead: " + f.Instead
				}
				if f.Fix != "" {
					note += "; to get it: " + f.Fix
				}
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", f.Name, state, note)
		}
	})
}
