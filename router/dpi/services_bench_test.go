package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// BenchmarkRefuse is what it costs to ask all parsers of this part about a flow that is none of theirs.
func BenchmarkRefuse(b *testing.B) {
	for name, view := range map[string]View{
		"TCP": {Proto: flow.ProtoTCP, ClientPort: 50000, ServerPort: 40000, Client: unhex("9f0377aa10c452e1000841419f0377aa10c452e100084141")},
		"UDP": {Proto: flow.ProtoUDP, ClientPort: 50000, ServerPort: 40000, Payload: unhex("9f0377aa10c452e1000841419f0377aa10c452e100084141")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			parsers := ownParsers()
			var r Result
			for b.Loop() {
				for i := range parsers {
					if parsers[i].Over == view.Proto {
						r.Protocol = parsers[i].Protocol
						parsers[i].Read(&view, &r)
					}
				}
			}
		})
	}
}
