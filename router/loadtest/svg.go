package loadtest

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"
)

// The picture's measures, in its own units.
const (
	svgWidth, svgHeight      = 860, 380
	svgLeft, svgRight        = 70, 70
	svgTop, svgBottom        = 60, 50
	plotWidth, plotHeightSVG = svgWidth - svgLeft - svgRight, svgHeight - svgTop - svgBottom
)

// SVG draws a test as a picture: the delay as a line, from its axis on the left, over what the link carried, whose axis is on the right.
func SVG(w io.Writer, title string, r Result) error {
	var last, most time.Duration
	var fastest uint64
	for _, p := range r.Points {
		last, most, fastest = max(last, p.At), max(most, p.Worst), max(fastest, p.Rate)
	}
	last, most, fastest = max(last, 1), max(most, time.Millisecond), max(fastest, 1)
	x := func(at time.Duration) float64 { return svgLeft + plotWidth*float64(at)/float64(last) }
	y := func(part float64) float64 { return svgTop + plotHeightSVG*(1-part) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="17">%s</text>`+"\n", svgLeft, html.EscapeString(title))
	fmt.Fprintf(&b, `<text x="%d" y="44" fill="#555">%s</text>`+"\n", svgLeft, html.EscapeString(r.String()))
	area, line := fmt.Sprintf("M%.1f %.1f", x(0), y(0)), ""
	var begin time.Duration
	for i, p := range r.Points {
		top := y(float64(p.Rate) / float64(fastest))
		area += fmt.Sprintf(" L%.1f %.1f L%.1f %.1f", x(begin), top, x(p.At), top)
		if p.Worst > 0 {
			line += fmt.Sprintf(" %.1f,%.1f", x((begin+p.At)/2), y(float64(p.Worst)/float64(most)))
		}
		if i == 0 || r.Points[i-1].Phase != p.Phase {
			fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#bbb" stroke-dasharray="4"/>`+"\n", x(begin), svgTop, x(begin), svgTop+plotHeightSVG)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#555">%s</text>`+"\n", x(begin)+4, svgHeight-svgBottom+18, html.EscapeString(string(p.Phase)))
		}
		begin = p.At
	}
	fmt.Fprintf(&b, `<path d="%s L%.1f %.1f Z" fill="#9ecae1" fill-opacity="0.6"/>`+"\n", area, x(begin), y(0))
	fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="#c0392b" stroke-width="1.8"/>`+"\n", strings.TrimSpace(line))
	fmt.Fprintf(&b, `<path d="M%d %d V%d H%d V%d" fill="none" stroke="#333"/>`+"\n", svgLeft, svgTop, svgTop+plotHeightSVG, svgWidth-svgRight, svgTop)
	for _, t := range []struct {
		part   float64
		dx     float64
		anchor string
		color  string
		text   string
	}{
		{1, svgLeft - 6, "end", "#c0392b", milliseconds(most)}, {0.5, svgLeft - 6, "end", "#c0392b", milliseconds(most / 2)}, {0, svgLeft - 6, "end", "#c0392b", "0 ms"},
		{1, svgWidth - svgRight + 6, "start", "#2c6e9b", megabits(fastest)}, {0.5, svgWidth - svgRight + 6, "start", "#2c6e9b", megabits(fastest / 2)},
	} {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="%s" fill="%s" font-size="11">%s</text>`+"\n", t.dx, y(t.part)+4, t.anchor, t.color, t.text)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func megabits(rate uint64) string { return fmt.Sprintf("%.3g Mbit/s", float64(rate)/1e6) }

// String is the result in a line.
func (r Result) String() string {
	out := fmt.Sprintf("grade %s: delay %s", r.Grade, milliseconds(r.Idle.Median))
	for _, l := range []struct {
		name string
		Load
	}{{"down", r.Down}, {"up", r.Up}} {
		if l.Pings+int(l.Rate) > 0 {
			out += fmt.Sprintf("; %s %s, %s (95 %%: %s)", l.name, megabits(l.Rate), milliseconds(l.Median), milliseconds(l.P95))
		}
	}
	return out
}
