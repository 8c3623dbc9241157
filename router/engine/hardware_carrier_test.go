package engine

import (
	"testing"
	"time"
)

// TestDeafness plays how a modem stands over time: c is connected, h is connected with a carrier, - is neither; each for two seconds.
func TestDeafness(t *testing.T) {
	for _, tt := range []struct {
		name, states string
		want         []time.Duration // when it is connected anew
	}{
		{"a healthy one", "--cchhhhhhhhhhhhhhhhh", nil},
		{"one that hears late", "cccchhhhcccchhhh", nil},
		{"one that is deaf", "-cccccccc", []time.Duration{12 * time.Second}},
		{"time without a connection does not count", "ccccc-ccccc-ccccc", nil},
		{"each attempt doubles the patience", "cccccc-ccccccccccc-cccccccccccccccccccccc", []time.Duration{10 * time.Second, 34 * time.Second, 78 * time.Second}},
		{"and a carrier ends that", "cccccc-hcccccc", []time.Duration{10 * time.Second, 26 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d deafness
			began := time.Unix(1e9, 0)
			var got []time.Duration
			for i, s := range tt.states {
				at := time.Duration(i) * carrierLook
				if d.look(began.Add(at), "usb-1", s != '-', s == 'h') {
					got = append(got, at)
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("connected anew at %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("connected anew at %v, want %v", got, tt.want)
				}
			}
		})
	}
	d := deafness{device: "usb-1", since: time.Unix(1e9, 0), patience: lastDeafness}
	if d.look(time.Unix(2e9, 0), "usb-2", true, false) || d.patience != firstDeafness {
		t.Errorf("another device inherits the first one's: %+v", d)
	}
}
