package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/trenza-router/trenza/webui/api"
)

type lanCommand struct {
	Show lanShowCommand `cmd:"" help:"The interfaces towards the household, and what their hosts are given."`
}

type lanShowCommand struct{}

// Run lists the LAN's interfaces.
func (lanShowCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.ListLANWithResponse(s.ctx)
	if err != nil {
		r = &api.ListLANResponse{}
	}
	all, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(all, func(w io.Writer) {
		table(w, func(t io.Writer) {
			fmt.Fprintln(t, "DEVICE\tPORTS\tADDRESSES\tFOR HOSTS\tLEASE\tMORE")
			for _, l := range all {
				hosts, lease := "-", "-"
				if l.First != nil && l.Last != nil && l.Lease != nil {
					hosts, lease = *l.First+" to "+*l.Last, (time.Duration(*l.Lease) * time.Second).String()
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Device, orDash(strings.Join(l.Ports, ", ")), orDash(strings.Join(l.Addresses, ", ")), hosts, lease, lanText(l))
			}
		})
	})
}

// lanText is what else there is to say of a LAN.
func lanText(l api.LAN) string {
	var words []string
	if !l.Present {
		words = append(words, "not there")
	}
	if l.Guest {
		words = append(words, "for guests")
	}
	if l.Advertise {
		words = append(words, "IPv6 announced")
	}
	if l.Trouble != "" {
		words = append(words, l.Trouble)
	}
	return orDash(strings.Join(words, ", "))
}
