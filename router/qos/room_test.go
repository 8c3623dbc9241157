package qos

import "testing"

// flood is a link of 50 Mbit/s that is shaped to 45: a guaranteed device takes 20, and of what others may have, a part comes in vain beside.
func flood(part, inVain float64) (came Rate) {
	return min(20*mbit+Rate((45*part-20)*(1+inVain)*1e6), 50*mbit)
}

func TestRoomAgainstFlood(t *testing.T) {
	for _, inVain := range []float64{0.1, 0.2, 0.4} {
		var r Room
		part := 1.0
		for range 60 {
			part = r.Step(flood(part, inVain), 45*mbit, 20*mbit)
		}
		came := flood(part, inVain)
		if came > 465*mbit/10 || part <= leastRoom {
			t.Errorf("%.0f %% in vain: %s still come at %.2f of the rate", inVain*100, came, part)
		}
		// When it is over, everything is back within half a minute.
		for range 30 {
			part = r.Step(30*mbit, 45*mbit, 20*mbit)
		}
		if part != 1 {
			t.Errorf("%.2f of the rate after the flood", part)
		}
	}
}

// A full link whose senders heed what is dropped gives up nothing, also while a queue fills for a second.
func TestRoomOfOrdinaryLoad(t *testing.T) {
	var r Room
	for i, came := range []Rate{0, 20, 47, 45, 44, 46, 45, 45, 46, 44, 45} {
		if part := r.Step(came*mbit, 45*mbit, 0); part != 1 {
			t.Errorf("second %d: %.2f of the rate", i, part)
		}
	}
	for range 100 {
		if part := r.Step(200*mbit, 45*mbit, 40*mbit); part*45*0.99 < 40 {
			t.Fatalf("%.2f of the rate leave no room for 40 Mbit/s that are promised", part)
		}
	}
}
