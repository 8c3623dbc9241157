package store

import (
	"fmt"
	"testing"
	"time"
)

func TestBlocks(t *testing.T) {
	s, _, _ := newStore(t)
	at := noon.Truncate(time.Second)
	games := Block{At: at, How: BlockedFlow, Device: "leo-phone", Person: "leo", Rule: "no-games", Name: "No games", Tier: "main",
		Proto: "tcp", To: "203.0.113.7:443", Host: "game.example", App: "steam", Text: "The house's rule blocks the flow."}
	s.AddBlock(games)
	again := games
	again.At = at.Add(30 * time.Second)
	s.AddBlock(again)
	name := Block{At: at.Add(time.Minute), How: BlockedName, Device: "ana-laptop", Person: "ana", Rule: "mine", Tier: "user", Host: "ads.example", Silent: true}
	s.AddBlock(name)
	check := func(when string) {
		t.Helper()
		list, err := s.Blocks(t.Context(), BlockQuery{Limit: 10})
		must(t, err)
		again.Count, name.Count = 2, 1
		if len(list) != 2 || !equalBlock(list[0], name) || !equalBlock(list[1], again) {
			t.Fatalf("%s: %+v", when, list)
		}
		for q, want := range map[BlockQuery]int{{Device: "leo-phone"}: 1, {Person: "ana"}: 1, {Rule: "mine"}: 1, {Rule: "other"}: 0, {Person: "leo", Rule: "mine"}: 0} {
			q.Limit = 10
			if list, err := s.Blocks(t.Context(), q); err != nil || len(list) != want {
				t.Errorf("%s: %+v: %d blocks, error %v; want %d", when, q, len(list), err, want)
			}
		}
	}
	check("before the writer came")
	must(t, s.Flush(t.Context()))
	check("after")
}

func equalBlock(a, b Block) bool {
	same := a.At.Equal(b.At)
	a.At, b.At = time.Time{}, time.Time{}
	return same && a == b
}

// TestBlocksAreBounded: whoever is refused a million times does not fill the router's card.
func TestBlocksAreBounded(t *testing.T) {
	s, _, _ := newStore(t)
	at := noon.Truncate(time.Second)
	s.lim.Blocks = 20
	for round := range 3 {
		for i := range 50 {
			s.AddBlock(Block{At: at, How: BlockedFlow, Device: fmt.Sprint(round, i)})
		}
		must(t, s.Flush(t.Context()))
	}
	list, err := s.Blocks(t.Context(), BlockQuery{Limit: 1000})
	must(t, err)
	if len(list) != 20 || list[0].Device != "2 49" || list[19].Device != "2 30" {
		t.Errorf("%d blocks are kept, from %q to %q", len(list), list[0].Device, list[len(list)-1].Device)
	}
}
