package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/loadtest"
	"github.com/trenza-router/trenza/webui/api"
)

type qosTestCommand struct {
	Server  string   `arg:"" help:"Address of what is downloaded again and again: a large file, or where \"trenza qos serve\" runs, as in http://server.example:8088/."`
	Link    []string `help:"Links to test; default: each that carries traffic and costs nothing, one after the other."`
	Upload  string   `help:"Address to which uploads are posted; default: the server, if it takes them."`
	Seconds int      `help:"Length of each load, 2 to 60." default:"10"`
	SVG     string   `name:"svg" help:"Draw the test as a picture in this file; of several links, each in its own." type:"path"`
	Costs   bool     `help:"Test links whose data costs, is limited or is spent, too: a test moves as much as the link can carry."`
}

// progressEvery is how often a running test is asked for.
const progressEvery = 500 * time.Millisecond

func (c *qosTestCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	links, err := c.links(s, client)
	if err != nil {
		return err
	}
	var failed error
	tests := []api.LoadTest{}
	for _, l := range links {
		test, err := c.test(s, client, l)
		if err != nil {
			return err
		}
		tests = append(tests, test)
		if test.State != api.LoadTestStateDone {
			failed = fmt.Errorf("the test of %s: %s", l, test.State)
			if test.Problem != nil {
				failed = fmt.Errorf("the test of %s: %s", l, *test.Problem)
			}
			break
		}
		if !s.json {
			if err := showTest(s.out, test); err != nil {
				return err
			}
		}
		if err := c.draw(test, len(links) > 1); err != nil {
			return err
		}
	}
	if s.json {
		if err := s.print(tests, nil); err != nil {
			return err
		}
	}
	return failed
}

// links are those that are asked for, or all that carry traffic and cost nothing.
func (c *qosTestCommand) links(s *session, client *api.ClientWithResponses) ([]string, error) {
	if len(c.Link) > 0 {
		return c.Link, nil
	}
	r, err := client.ListLinksWithResponse(s.ctx)
	if err != nil {
		r = &api.ListLinksResponse{}
	}
	all, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range all {
		switch {
		case !l.Usable:
		case (l.Metered || l.Quota != nil) && !c.Costs:
			fmt.Fprintf(s.errOut, "%s is left out: its data costs or is limited; --costs tests it, too.\n", l.Name)
		default:
			out = append(out, l.Name)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no link to test: name one with --link")
	}
	return out, nil
}

// test runs one test to its end.
func (c *qosTestCommand) test(s *session, client *api.ClientWithResponses, link string) (api.LoadTest, error) {
	order := api.LoadTestOrder{Link: link, Server: c.Server, Seconds: &c.Seconds, Costs: &c.Costs}
	if c.Upload != "" {
		order.Upload = &c.Upload
	}
	r, err := client.StartLoadTestWithResponse(s.ctx, order)
	if err != nil {
		r = &api.StartLoadTestResponse{}
	}
	test, err := answered(r.JSON202, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return test, err
	}
	fmt.Fprintf(s.errOut, "Testing %s against %s ", test.Link, test.Server)
	defer fmt.Fprintln(s.errOut)
	for {
		select {
		case <-s.ctx.Done():
			// Nobody looks any more: the link is not to stay full.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second)
			defer cancel()
			if _, err := client.StopLoadTestWithResponse(ctx); err != nil {
				return test, fmt.Errorf("stopping the test: %w", err)
			}
			return test, s.ctx.Err()
		case <-time.After(progressEvery):
		}
		fmt.Fprint(s.errOut, ".")
		r, err := client.ListLoadTestsWithResponse(s.ctx)
		if err != nil {
			r = &api.ListLoadTestsResponse{}
		}
		all, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
		if err != nil && s.ctx.Err() == nil {
			return test, err
		}
		for _, t := range all.Past {
			if t.Link == test.Link && t.At.Equal(test.At) {
				return t, nil
			}
		}
	}
}

// draw writes the picture of a test, if one is wanted.
func (c *qosTestCommand) draw(t api.LoadTest, several bool) error {
	if c.SVG == "" {
		return nil
	}
	file := c.SVG
	if several {
		end := filepath.Ext(file)
		file = strings.TrimSuffix(file, end) + "-" + t.Link + end
	}
	var picture bytes.Buffer
	if err := loadtest.SVG(&picture, fmt.Sprintf("%s under load, %s", t.Link, t.At.Local().Format("2006-01-02 15:04")), resultOf(t)); err != nil {
		return err
	}
	if err := os.WriteFile(file, picture.Bytes(), 0o644); err != nil {
		return fmt.Errorf("drawing the test: %w", err)
	}
	return nil
}

// resultOf is a test's result as the package that draws it takes it.
func resultOf(t api.LoadTest) loadtest.Result {
	span := func(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
	load := func(p api.LoadPhase) loadtest.Load {
		return loadtest.Load{Rate: uint64(p.Rate), Median: span(p.MedianMs), P95: span(p.P95Ms), Pings: p.Pings, LostPart: p.Lost}
	}
	out := loadtest.Result{Idle: load(t.Idle), Down: load(t.Down), Up: load(t.Up), Grade: t.Grade, Probes: t.Probes}
	for _, p := range t.Points {
		out.Points = append(out.Points, loadtest.Point{At: span(p.AtMs), Phase: loadtest.Phase(p.Phase), Rate: uint64(p.Rate), Delay: span(p.DelayMs), Worst: span(p.WorstMs), Lost: p.Lost})
	}
	return out
}

// showTest prints a test that is done.
func showTest(w io.Writer, t api.LoadTest) error {
	fmt.Fprintf(w, "\n%s: grade %s, a load adds %s\n\n", t.Link, t.Grade, delay(t.AddedMs))
	table(w, func(w io.Writer) {
		fmt.Fprintln(w, "\tRATE\tSHAPED TO\tDELAY\t95 %\tLOST")
		for _, p := range []struct {
			name   string
			phase  api.LoadPhase
			shaped int64
		}{{"idle", t.Idle, 0}, {"down", t.Down, t.ShapedDown}, {"up", t.Up, t.ShapedUp}} {
			switch {
			case p.name != "idle" && p.phase.Pings == 0 && p.phase.Rate == 0:
				fmt.Fprintf(w, "%s\tnot tested: the server takes no uploads\n", p.name)
			default:
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f %%\n", p.name, rate(p.phase.Rate), shapedTo(p.shaped), delay(p.phase.MedianMs), delay(p.phase.P95Ms), p.phase.Lost*100)
			}
		}
	})
	fmt.Fprintln(w)
	if err := loadtest.Plot(w, resultOf(t).Points); err != nil {
		return err
	}
	if t.ShapedDown > 0 {
		fmt.Fprintln(w, "\nWhat the router itself downloads is not shaped: the way down shows the link without the router's help.")
	}
	return nil
}

type qosTestsCommand struct {
	Link string `arg:"" optional:"" help:"One link; default: all."`
}

func (c *qosTestsCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.ListLoadTestsWithResponse(s.ctx)
	if err != nil {
		r = &api.ListLoadTestsResponse{}
	}
	all, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(all, func(w io.Writer) {
		table(w, func(w io.Writer) {
			fmt.Fprintln(w, "WHEN\tLINK\tGRADE\tADDED\tDOWN\tUP\tDELAY IDLE\tSERVER")
			for _, t := range all.Past {
				if c.Link != "" && c.Link != t.Link {
					continue
				}
				grade := t.Grade
				if grade == "" {
					grade = string(t.State)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.At.Local().Format("2006-01-02 15:04"), t.Link, grade, delay(t.AddedMs),
					rate(t.Down.Rate), rate(t.Up.Rate), delay(t.Idle.MedianMs), t.Server)
			}
		})
	})
}

type qosServeCommand struct {
	Listen string `help:"Address to listen on." default:":8088"`
}

func (c *qosServeCommand) Run(s *session) error {
	fmt.Fprintf(s.errOut, "Serving tests of links on %s. Whoever reaches it can fill this machine's line: end it after the tests.\n", c.Listen)
	return loadtest.Serve(s.ctx, c.Listen)
}
