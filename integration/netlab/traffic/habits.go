package traffic

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Role is what a host is.
type Role string

// The roles of the lab's hosts.
const (
	TV      Role = "tv"
	Laptop  Role = "laptop"
	Console Role = "console"
	Phone   Role = "phone"
	Camera  Role = "camera"
)

// Habit is one thing that a host does again and again.
type Habit struct {
	Name string
	// MinPause and MaxPause bound the random time between two actions.
	MinPause, MaxPause time.Duration
	// Down and Up are the greatest rates of an action in bit/s of payload.
	Down, Up int64
	// Next makes the next action. It is pure but for the random source.
	Next func(rng *rand.Rand) Action
}

// Action is a set of jobs that run at the same time, and end together.
type Action struct {
	HTTP    []client.HTTP
	Ticks   []client.Ticks
	Connect []client.Connect
}

const (
	kbit = 1_000
	mbit = 1_000_000
	kB   = 1_000
	mB   = 1_000_000
)

// Habits are those of a role; nil for a role that is not known.
func Habits(role Role) []Habit {
	switch role {
	case TV:
		return []Habit{
			{"video", 2 * time.Second, 5 * time.Second, 24 * mbit, 0, video},
			{"thumbnails", 20 * time.Second, time.Minute, 8 * mbit, 0, thumbnails},
		}
	case Laptop:
		return []Habit{
			{"browse", 3 * time.Second, 15 * time.Second, 12 * mbit, 0, browse},
			{"call", 30 * time.Second, 2 * time.Minute, 1 * mbit, 1 * mbit, call},
		}
	case Console:
		return []Habit{
			{"update", 40 * time.Second, 3 * time.Minute, 15 * mbit, 0, update},
			{"game", 10 * time.Second, time.Minute, 100 * kbit, 100 * kbit, game},
		}
	case Phone:
		return []Habit{
			{"messages", 2 * time.Second, 20 * time.Second, 1 * mbit, 1 * mbit, messages},
			{"photos", 30 * time.Second, 2 * time.Minute, 0, 2 * mbit, photo},
			{"shorts", 4 * time.Second, 25 * time.Second, 10 * mbit, 0, shorts},
			{"music", 5 * time.Second, 15 * time.Second, 640 * kbit, 0, music},
		}
	case Camera:
		return []Habit{{"upload", 100 * time.Millisecond, time.Second, 0, 1500 * kbit, watch}}
	}
	return nil
}

// video is one burst of a player that fills its buffer, from one of the two services.
func video(rng *rand.Rand) Action {
	job := client.HTTP{Target: client.Target{Host: "rr1---sn-4g5e6nez.googlevideo.com"}, Proto: client.HTTP3}
	switch rng.IntN(4) {
	case 0:
		job = client.HTTP{Target: client.Target{Host: "ipv4-c001-ams001-ix.1.oca.nflxvideo.net"}, Proto: client.HTTP1}
	case 1:
		job.Host = "rr5---sn-4g5lznes.googlevideo.com"
	}
	return Action{HTTP: []client.HTTP{down(job, between(rng, 2*mB, 5*mB), 24*mbit)}}
}

func thumbnails(rng *rand.Rand) Action {
	a := Action{HTTP: []client.HTTP{{Target: client.Target{Host: "www.youtube.com"}, Proto: client.HTTP2}}}
	for range 2 + rng.IntN(3) {
		a.HTTP = append(a.HTTP, down(client.HTTP{Target: client.Target{Host: "i.ytimg.com"}, Proto: client.HTTP3}, between(rng, 20*kB, 90*kB), 2*mbit))
	}
	return a
}

// browse opens a page: the site itself and what it embeds.
func browse(rng *rand.Rand) Action {
	site := pick(rng, "en.wikipedia.org", "github.com", "www.google.com", "www.ing.de", "open.spotify.com", "www.netflix.com")
	a := Action{HTTP: []client.HTTP{{Target: client.Target{Host: site}, Path: fmt.Sprintf("/page/%d", rng.IntN(1000))}}}
	for range 1 + rng.IntN(5) {
		part := pick(rng, site, site, "www.google.com", "googleads.g.doubleclick.net", "i.ytimg.com")
		a.HTTP = append(a.HTTP, down(client.HTTP{Target: client.Target{Host: part}}, between(rng, 10*kB, 400*kB), 2*mbit))
	}
	return a
}

// call is a video call: signalling and 100 datagrams a second each way.
func call(rng *rand.Rand) Action {
	return Action{
		HTTP: []client.HTTP{{Target: client.Target{Host: "us04web.zoom.us"}, Path: "/j/" + fmt.Sprint(rng.IntN(1_000_000_000))}},
		Ticks: []client.Ticks{{Target: client.Target{Host: "zoomff101mmr.zoom.us", Port: 8801, DSCP: 46}, Game: true,
			Rate: 100, Size: 600 + rng.IntN(500), Duration: seconds(rng, 40, 180)}},
	}
}

// update is a part of a large download.
func update(rng *rand.Rand) Action {
	host := pick(rng, "cache1-ams1.steamcontent.com", "gs2.ww.prod.dl.playstation.net", "download.windowsupdate.com")
	job := client.HTTP{Target: client.Target{Host: host}, Proto: client.HTTP1, Plain: rng.IntN(2) == 0}
	return Action{HTTP: []client.HTTP{down(job, between(rng, 20*mB, 60*mB), 15*mbit)}}
}

func game(rng *rand.Rand) Action {
	return Action{
		HTTP: []client.HTTP{{Target: client.Target{Host: "title.mgt.xboxlive.com"}}},
		Ticks: []client.Ticks{{Target: client.Target{Host: "cm2-ams1.cm.steampowered.com"}, Game: true,
			Rate: 60, Size: 120 + rng.IntN(80), Duration: seconds(rng, 60, 300)}},
	}
}

func messages(rng *rand.Rand) Action {
	return Action{
		Connect: []client.Connect{{Target: client.Target{Host: "g.whatsapp.net", Port: 5222}, Send: fmt.Sprintf("message %d\n", rng.IntN(1000))}},
		HTTP:    []client.HTTP{{Target: client.Target{Host: "web.whatsapp.com"}, Proto: client.HTTP2}},
	}
}

func photo(rng *rand.Rand) Action {
	return Action{HTTP: []client.HTTP{up(client.HTTP{Target: client.Target{Host: "mmg.whatsapp.net"}}, between(rng, 200*kB, 1500*kB), 2*mbit)}}
}

func shorts(rng *rand.Rand) Action {
	return Action{HTTP: []client.HTTP{
		{Target: client.Target{Host: "www.tiktok.com"}},
		down(client.HTTP{Target: client.Target{Host: "v16-webapp.tiktokcdn.com"}, Proto: client.HTTP3}, between(rng, 800*kB, 3*mB), 10*mbit),
	}}
}

// music is a part of a song, at twice the rate of its playing.
func music(rng *rand.Rand) Action {
	return Action{HTTP: []client.HTTP{down(client.HTTP{Target: client.Target{Host: "audio-fa.scdn.co"}}, between(rng, 300*kB, 700*kB), 640*kbit)}}
}

func watch(rng *rand.Rand) Action {
	rate := between(rng, 900*kbit, 1500*kbit)
	return Action{HTTP: []client.HTTP{up(client.HTTP{Target: client.Target{Host: "upload.arlo.com"}, Proto: client.HTTP1}, rate/8*30, rate)}}
}

func down(job client.HTTP, bytes, rate int64) client.HTTP {
	job.Stream = &wire.Order{Direction: wire.Down, Bytes: bytes, Rate: rate}
	return job
}

func up(job client.HTTP, bytes, rate int64) client.HTTP {
	job.Stream = &wire.Order{Direction: wire.Up, Bytes: bytes, Rate: rate}
	return job
}

func pick(rng *rand.Rand, of ...string) string { return of[rng.IntN(len(of))] }

func between(rng *rand.Rand, least, most int64) int64 { return least + rng.Int64N(most-least+1) }

func seconds(rng *rand.Rand, least, most int64) time.Duration {
	return time.Duration(between(rng, least, most)) * time.Second
}
