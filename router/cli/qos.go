package cli

import (
	"fmt"
	"io"

	"github.com/trenza-router/trenza/webui/api"
)

type qosCommand struct {
	Show    qosShowCommand    `cmd:"" default:"1" help:"How the links are shaped, and what each class of each device does now."`
	History qosHistoryCommand `cmd:"" help:"The links' delays while they carry little and much, hour by hour."`
	Test    qosTestCommand    `cmd:"" help:"Fill each link for some seconds, measure what becomes of its delay, and grade it."`
	Tests   qosTestsCommand   `cmd:"" help:"The tests that were made."`
	Serve   qosServeCommand   `cmd:"" help:"Be the far end of such tests, on a machine elsewhere on the internet."`
}

// qos asks the router how its links are shaped.
func (s *session) qos() (api.QoS, error) {
	client, err := s.client()
	if err != nil {
		return api.QoS{}, err
	}
	r, err := client.GetQoSWithResponse(s.ctx)
	if err != nil {
		r = &api.GetQoSResponse{}
	}
	return answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
}

type qosHistoryCommand struct {
	Link string `arg:"" optional:"" help:"One link; default: all."`
}

func (c *qosHistoryCommand) Run(s *session) error {
	v, err := s.qos()
	if err != nil {
		return err
	}
	return s.print(v, func(w io.Writer) {
		table(w, func(t io.Writer) {
			fmt.Fprintln(t, "LINK\tHOUR\tDELAY IDLE\tLOADED\tPROBES IDLE\tLOADED")
			for _, l := range v.Links {
				for _, h := range l.History {
					if c.Link == "" || c.Link == l.Name {
						fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\n", l.Name, h.At.Local().Format("2006-01-02 15:04"), delay(h.IdleMs), delay(h.LoadedMs), h.IdleProbes, h.LoadedProbes)
					}
				}
			}
		})
	})
}

type qosShowCommand struct {
	All bool `help:"Also list classes without traffic."`
}

func (c *qosShowCommand) Run(s *session) error {
	v, err := s.qos()
	if err != nil {
		return err
	}
	return s.print(v, func(w io.Writer) { c.show(w, v) })
}

func (c *qosShowCommand) show(w io.Writer, v api.QoS) {
	table(w, func(t io.Writer) {
		fmt.Fprintln(t, "LINK\tDOWN\tUP\tDELAY IDLE\tLOADED\tSHAPED")
		for _, l := range v.Links {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, shapedTo(l.ShapedDown), shapedTo(l.ShapedUp), delay(l.IdleMs), delay(l.LoadedMs), l.State)
		}
	})
	for _, l := range v.Links {
		shown := 0
		table(w, func(t io.Writer) {
			for _, k := range l.Classes {
				if !c.All && k.Down.Rate+k.Up.Rate+k.Down.Waiting+k.Up.Waiting == 0 {
					continue
				}
				if shown == 0 {
					fmt.Fprintf(t, "\n%s\tCLASS\tPRIO\tDOWN\tSURE\tWAITS\tLOST\tUP\tSURE\tWAITS\tLOST\n", l.Name)
				}
				shown++
				device := k.Device
				if device == "" {
					device = "(others)"
				}
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\n", device, k.Class, k.Priority,
					rate(k.Down.Rate), rate(k.Down.Promised), delay(k.Down.DelayMs), k.Down.Dropped,
					rate(k.Up.Rate), rate(k.Up.Promised), delay(k.Up.DelayMs), k.Up.Dropped)
			}
		})
	}
	for _, text := range v.Warnings {
		fmt.Fprintf(w, "\nwarning: %s", text)
	}
	if len(v.Warnings) > 0 {
		fmt.Fprintln(w)
	}
}

func shapedTo(bits int64) string {
	if bits == 0 {
		return "-"
	}
	return rate(bits)
}

func delay(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", ms)
}
