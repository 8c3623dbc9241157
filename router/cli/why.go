package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/trenza-router/trenza/webui/api"
)

type whyCommand struct {
	Device string `arg:"" help:"A device's id, name, Ethernet or IP address; \"router\" for the router itself."`
	To     string `arg:"" name:"name-or-address" help:"Where the flow goes."`
	Port   *int   `help:"Destination port; default 443."`
	Proto  string `help:"tcp, udp, icmp, sctp or a number." default:"tcp"`
	DSCP   int    `name:"dscp" help:"DSCP that the device sets, 0 to 63."`
	At     string `help:"The moment to decide for: RFC 3339, or \"2006-01-02 15:04\" or \"15:04\" of today, in this machine's time."`
}

func (c *whyCommand) Run(s *session) error {
	p := api.GetWhyParams{Device: c.Device, To: c.To, Port: c.Port, Proto: &c.Proto}
	if c.DSCP != 0 {
		p.Dscp = &c.DSCP
	}
	if c.At != "" {
		at, err := parseMoment(c.At, time.Now())
		if err != nil {
			return usageError(err)
		}
		p.At = &at
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.GetWhyWithResponse(s.ctx, &p)
	if err != nil {
		r = &api.GetWhyResponse{}
	}
	answer, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	if err := s.print(answer, func(w io.Writer) { printAnswer(w, answer) }); err != nil {
		return err
	}
	if answer.Blocked {
		return exitError{exitNo, nil}
	}
	return nil
}

func parseMoment(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", s, time.Local); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation("15:04", s, time.Local); err == nil {
		return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, time.Local), nil
	}
	return time.Time{}, fmt.Errorf("--at %q: use a time like 2026-11-21T20:40:00Z, \"2026-11-21 20:40\" or 20:40", s)
}

func printAnswer(w io.Writer, a api.Answer) {
	fmt.Fprintln(w, a.Sentence)
	fmt.Fprintln(w)
	step := 0
	line := func(format string, args ...any) {
		step++
		fmt.Fprintf(w, "%2d. %s\n", step, fmt.Sprintf(format, args...))
	}
	if a.Known != "" {
		line("%s (%d %% sure)", a.Known, a.Certain)
	}
	for _, r := range a.Reasons {
		line("%s [%s, %s]", r.Text, r.Aspect, r.Outcome)
	}
	for _, f := range a.Families {
		line("IPv%d: %s", f.Family, f.Why)
		for _, l := range f.Links {
			lent := ""
			if l.Lent {
				lent = ", lent"
			}
			fmt.Fprintf(w, "      %s %.0f %%%s\n", l.Link, l.Share*100, lent)
		}
	}
	if len(a.Running) > 0 {
		fmt.Fprintln(w, "\nRunning now:")
		for _, f := range a.Running {
			fmt.Fprintf(w, "  %s %s -> %s over %s\n", f.Proto, f.Src, f.Dst, f.Link)
		}
	}
}
