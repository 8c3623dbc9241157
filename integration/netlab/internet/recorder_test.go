package internet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

func seqs(p Page) []uint64 {
	out := []uint64{}
	for _, s := range p.Records {
		out = append(out, s.Seq)
	}
	return out
}

func TestRecorder(t *testing.T) {
	r := NewRecorder(5)
	a, b := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("[::ffff:192.0.2.2]:1000")
	for i := 1; i <= 8; i++ {
		r.Add(wire.Seen{Proto: []string{"odd", "even"}[(i+1)%2], Tag: fmt.Sprintf("t-%d", i), Remote: []netip.AddrPort{a, b}[i%2]})
	}
	for name, c := range map[string]struct {
		f    Filter
		want []uint64
	}{
		"the last five":    {Filter{}, []uint64{4, 5, 6, 7, 8}},
		"after":            {Filter{After: 6}, []uint64{7, 8}},
		"after the end":    {Filter{After: 99}, []uint64{}},
		"limit":            {Filter{Limit: 2}, []uint64{4, 5}},
		"tag":              {Filter{Tag: "t-5"}, []uint64{5}},
		"overwritten":      {Filter{Tag: "t-3"}, []uint64{}},
		"prefix":           {Filter{TagPrefix: "t-", After: 7}, []uint64{8}},
		"source, unmapped": {Filter{Remote: netip.MustParseAddr("192.0.2.2")}, []uint64{5, 7}},
		"proto":            {Filter{Proto: "even"}, []uint64{4, 6, 8}},
	} {
		if diff := cmp.Diff(c.want, seqs(r.Query(c.f))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if p := r.Query(Filter{}); p.First != 4 || p.Last != 8 {
		t.Errorf("first %d, last %d", p.First, p.Last)
	}
	want := map[netip.Addr]int{netip.MustParseAddr("192.0.2.1"): 3, netip.MustParseAddr("192.0.2.2"): 2}
	if diff := cmp.Diff(want, r.Sources(Filter{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	r.Reset()
	if p := r.Query(Filter{}); len(p.Records) != 0 || p.First != 9 {
		t.Errorf("after reset: %+v", p)
	}
	if s := r.Add(wire.Seen{}); s.Seq != 9 || s.Time.IsZero() {
		t.Errorf("after reset: %+v", s)
	}
}

func TestRecorderWait(t *testing.T) {
	r := NewRecorder(10)
	got := make(chan Page)
	go func() {
		p, err := r.Wait(context.Background(), Filter{Tag: "x"}, 2)
		if err != nil {
			t.Error(err)
		}
		got <- p
	}()
	for _, tag := range []string{"x", "y", "x"} {
		r.Add(wire.Seen{Tag: tag})
	}
	if diff := cmp.Diff([]uint64{1, 3}, seqs(<-got)); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if p, err := r.Wait(ctx, Filter{Tag: "y"}, 2); !errors.Is(err, context.DeadlineExceeded) || len(p.Records) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}
