package cli

import (
	"fmt"
	"io"

	"github.com/trenza-router/trenza/webui/api"
)

type filterCommand struct {
	Log filterLogCommand `cmd:"" help:"What was not let pass, and by which rule."`
}

type filterLogCommand struct {
	Device string `help:"Only this device: its id."`
	Person string `help:"Only the devices of this person: their id."`
	Rule   string `help:"Only what this rule stopped: its id."`
	Limit  int    `help:"How many, the newest first." default:"100"`
}

func (c *filterLogCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	p := api.ListBlockedParams{Limit: &c.Limit}
	for _, f := range []struct {
		text string
		to   **string
	}{{c.Device, &p.Device}, {c.Person, &p.Person}, {c.Rule, &p.Rule}} {
		if f.text != "" {
			*f.to = &f.text
		}
	}
	r, err := client.ListBlockedWithResponse(s.ctx, &p)
	if err != nil {
		r = &api.ListBlockedResponse{}
	}
	list, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(list, func(w io.Writer) { printBlocked(w, list) })
}

func printBlocked(w io.Writer, list []api.Blocked) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nothing was blocked.")
		return
	}
	table(w, func(t io.Writer) {
		fmt.Fprintln(t, "WHEN\tTIMES\tDEVICE\tWHAT\tRULE\tOF\tWHERE")
		for _, b := range list {
			what := b.Host
			switch {
			case what == "":
				what = b.Proto + " " + b.To
			case b.Proto != "":
				what += " (" + b.Proto + " " + b.To + ")"
			}
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", b.At.Local().Format("2 Jan 15:04:05"), b.Count, b.Device, what, b.Rule, tierName(b.Tier), b.How)
		}
	})
}

// tierName is a tier as the policy's file calls it.
func tierName(tier string) string {
	switch tier {
	case "main":
		return "house"
	case "user":
		return "person"
	}
	return tier
}
