package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/trenza-router/trenza/webui/api"
)

type statusCommand struct {
	Flows   bool `help:"Also list the busiest flows."`
	Devices bool `help:"Also list the devices."`
}

func (c *statusCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.GetStatusWithResponse(s.ctx)
	if err != nil {
		r = &api.GetStatusResponse{}
	}
	status, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	if s.json && !c.Flows && !c.Devices {
		return s.print(status, nil)
	}
	all := struct {
		Status  api.Status    `json:"status"`
		Devices *[]api.Device `json:"devices,omitempty"`
		Flows   *[]api.Flow   `json:"flows,omitempty"`
	}{Status: status}
	if c.Devices {
		d, err := client.ListDevicesWithResponse(s.ctx)
		if err != nil {
			d = &api.ListDevicesResponse{}
		}
		list, err := answered(d.JSON200, d.JSONDefault, d.StatusCode(), err)
		if err != nil {
			return err
		}
		all.Devices = &list
	}
	if c.Flows {
		f, err := client.ListFlowsWithResponse(s.ctx, &api.ListFlowsParams{})
		if err != nil {
			f = &api.ListFlowsResponse{}
		}
		list, err := answered(f.JSON200, f.JSONDefault, f.StatusCode(), err)
		if err != nil {
			return err
		}
		all.Flows = &list
	}
	return s.print(all, func(w io.Writer) {
		printStatus(w, status)
		if all.Devices != nil {
			printDevices(w, *all.Devices)
		}
		if all.Flows != nil {
			printFlows(w, *all.Flows)
		}
	})
}

func table(w io.Writer, rows func(t io.Writer)) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	rows(t)
	_ = t.Flush() // the writer below is a terminal or a buffer; its errors show up there
}

func printStatus(w io.Writer, st api.Status) {
	fmt.Fprintln(w, st.Sentence)
	fmt.Fprintln(w)
	table(w, func(t io.Writer) {
		fmt.Fprintln(t, "LINK\tROLE\tSTATE\tDELAY\tLOST\tDOWN\tUP\tFLOWS\t")
		for _, l := range st.Links {
			state := string(l.State)
			if l.State != "up" {
				state += " (" + l.Reason + ")"
			}
			delay := "unknown"
			if l.RttMs > 0 {
				delay = fmt.Sprintf("%.0f ms", l.RttMs)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f %%\t%s\t%s\t%d\t%s\n", l.Name, l.Role, state, delay, l.Loss*100,
				rate(l.RateDown), rate(l.RateUp), l.Flows, quota(l))
		}
	})
	fmt.Fprintf(w, "\n%d devices, %d of them active; %d flows\n", st.Devices, st.Active, st.Flows)
	for _, warning := range st.Warnings {
		fmt.Fprintf(w, "%s: %s", warning.Severity, warning.Text)
		if warning.Fix != "" {
			fmt.Fprintf(w, " %s", warning.Fix)
		}
		fmt.Fprintln(w)
	}
}

func quota(l api.Link) string {
	if l.Quota == nil {
		return ""
	}
	return fmt.Sprintf("%s of %s used, resets %s", amount(l.Quota.Used), amount(l.Quota.Limit), l.Quota.Resets.Format("2 Jan"))
}

func printDevices(w io.Writer, devices []api.Device) {
	fmt.Fprintln(w)
	table(w, func(t io.Writer) {
		fmt.Fprintln(t, "DEVICE\tNAME\tOWNER\tADDRESSES\tDOWN\tUP\tFLOWS")
		for _, d := range devices {
			owner := "house"
			if d.Owner != nil && *d.Owner != "" {
				owner = *d.Owner
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", d.Id, d.Name, owner, strings.Join(d.Addrs, " "), rate(d.RateDown), rate(d.RateUp), d.Flows)
		}
	})
}

func printFlows(w io.Writer, flows []api.Flow) {
	fmt.Fprintln(w)
	table(w, func(t io.Writer) {
		fmt.Fprintln(t, "DEVICE\tAPP\tTO\tLINK\tDOWN\tUP")
		for _, f := range flows {
			to := f.Host
			if to == "" {
				to = f.Dst
			}
			link := f.Link
			if f.Lent {
				link += " (lent)"
			}
			fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\t%s\t%s\n", f.Device, f.App, f.Proto, to, link, rate(f.RateDown), rate(f.RateUp))
		}
	})
}

// rate writes bits per second as people say them.
func rate(bits int64) string {
	switch v := float64(bits); {
	case v >= 1e9:
		return fmt.Sprintf("%.1f Gbit/s", v/1e9)
	case v >= 1e7:
		return fmt.Sprintf("%.0f Mbit/s", v/1e6)
	case v >= 1e5:
		return fmt.Sprintf("%.1f Mbit/s", v/1e6)
	case v > 0:
		return fmt.Sprintf("%.0f kbit/s", v/1e3)
	}
	return "0"
}

// amount writes bytes in decimal units.
func amount(bytes int64) string {
	v := float64(bytes)
	for _, u := range []string{"B", "kB", "MB", "GB"} {
		if v < 1000 {
			return fmt.Sprintf("%.3g %s", v, u)
		}
		v /= 1000
	}
	return fmt.Sprintf("%.1f TB", v)
}
