package scenario

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// pace is the one number for all that depends on the machine's speed: how many times slower than the machines for which the
// promises were written this one is. It is 1, or what $TRENZA_SLOWNESS says: an emulated guest gets it from command vmrun.
var pace = slowness()

func slowness() float64 {
	said := os.Getenv("TRENZA_SLOWNESS")
	if said == "" {
		return 1
	}
	n, err := strconv.ParseFloat(said, 64)
	if err != nil || !(n >= 1 && n <= 100) {
		panic(fmt.Sprintf("TRENZA_SLOWNESS=%q: want a number from 1 to 100", said))
	}
	return n
}

// paced is how long something may take here that takes at most d on a machine of full speed.
func paced(d time.Duration) time.Duration { return time.Duration(float64(d) * pace) }

// load is the share of a rate, of packets or bits, that leaves this machine as much room as all of it leaves one of full speed.
func load(rate float64) float64 { return rate / pace }
