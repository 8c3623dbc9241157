package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/webui/api"
)

type linkCommand struct {
	Add    linkAddCommand    `cmd:"" help:"Add a link to the running router."`
	Remove linkRemoveCommand `cmd:"" help:"Take away a link that was added, and its key with it."`
}

type linkAddCommand struct {
	Relay linkAddRelayCommand `cmd:"" help:"Join a relay: one link that goes over all the others."`
}

type linkAddRelayCommand struct {
	Code string   `arg:"" help:"What \"trenza relay invite\" printed; - reads it from standard input, where no list of processes shows it."`
	Name string   `help:"The link's name in rules." default:"bond"`
	Role string   `help:"primary, secondary, backup (used by rules that name it, and when nothing else lives) or never." default:"backup"`
	Over []string `help:"Links that it goes over; default: all lines of the house."`
}

// joinTime is how long to wait for the relay's answer: several greetings.
const joinTime = 20 * time.Second

func (c *linkAddRelayCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	if c.Code == "-" {
		if c.Code, err = readSecret(s, "The relay's code: "); err != nil {
			return err
		}
	}
	role := api.RelayJoinRole(c.Role)
	if !role.Valid() {
		return usageError(fmt.Errorf("--role %s: use primary, secondary, backup or never", c.Role))
	}
	body := api.RelayJoin{Code: strings.TrimSpace(c.Code), Name: &c.Name, Role: &role}
	if len(c.Over) > 0 {
		body.Over = &c.Over
	}
	r, err := client.AddRelayWithResponse(s.ctx, body)
	if err != nil {
		r = &api.AddRelayResponse{}
	}
	added, err := answered(r.JSON202, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	joined := c.wait(s, client, added.Name)
	return s.print(joined, func(w io.Writer) {
		switch {
		case joined.Joined && joined.Ipv4 != nil:
			fmt.Fprintf(w, "Link %s has joined its relay, with the address %s.\n", added.Name, *joined.Ipv4)
		case joined.Joined:
			fmt.Fprintf(w, "Link %s has joined its relay.\n", added.Name)
		case joined.Trouble != "":
			fmt.Fprintf(w, "Link %s was added and goes on trying: %s.\n", added.Name, joined.Trouble)
		default:
			fmt.Fprintf(w, "Link %s was added; \"trenza bond status\" tells when it has joined.\n", added.Name)
		}
	})
}

// wait looks until the link has joined, or is known not to.
func (c *linkAddRelayCommand) wait(s *session, client *api.ClientWithResponses, name string) (last api.Bond) {
	last.Link = name
	for deadline := time.Now().Add(joinTime); time.Now().Before(deadline); {
		// The router starts anew with its links meanwhile: no answer is no news.
		if r, err := client.ListRelaysWithResponse(s.ctx); err == nil && r.JSON200 != nil {
			if i := slices.IndexFunc(*r.JSON200, func(b api.Bond) bool { return b.Link == name }); i >= 0 {
				last = (*r.JSON200)[i]
			}
		}
		if last.Joined && (last.Ipv4 != nil || last.Ipv6 != nil) || last.Trouble != "" {
			break
		}
		select {
		case <-s.ctx.Done():
			return last
		case <-time.After(200 * time.Millisecond):
		}
	}
	return last
}

type linkRemoveCommand struct {
	Name string `arg:"" help:"The link's name."`
}

func (c *linkRemoveCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.RemoveRelayWithResponse(s.ctx, api.RelayName{Name: c.Name})
	if err != nil {
		r = &api.RemoveRelayResponse{}
	}
	gone, err := answered(r.JSON202, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(gone, func(w io.Writer) { fmt.Fprintf(w, "Link %s is removed.\n", gone.Name) })
}
