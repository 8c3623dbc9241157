package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet/nstest"
)

func TestAgentRunsManyJobsAtOnce(t *testing.T) {
	l := newLab(t, 20)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			host := []string{"github.com", "zoom.us", "www.google.com", "web.whatsapp.com"}[i%4]
			proto := []string{client.HTTP1, client.HTTP2, client.HTTP3}[i%3]
			got, err := l.HTTP(within(t), client.HTTP{Target: client.Target{Host: host, Family: client.V4}, Proto: proto}, nil)
			if err != nil || got.Seen.Name != host || got.Seen.Proto != proto {
				t.Errorf("%d: %s over %s: %+v, %v", i, host, proto, got.Seen, err)
			}
		})
	}
	wg.Wait()
}

func TestAgentCloseEndsJobs(t *testing.T) {
	l := newLab(t, 21)
	begun := make(chan struct{})
	var once sync.Once
	ended := make(chan error, 1)
	go func() {
		_, err := l.Ticks(context.Background(), client.Ticks{Target: at("zoom.us"), Rate: 100, Duration: time.Hour},
			func(client.Ticked) { once.Do(func() { close(begun) }) })
		ended <- err
	}()
	<-begun
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("a job outlived its agent")
	}
	if _, err := l.Resolve(within(t), client.Resolve{Name: "zoom.us"}); !errors.Is(err, client.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAgentDies(t *testing.T) {
	l := newLab(t, 22)
	_, err := l.Exec(within(t), client.Exec{Argv: []string{"sh", "-c", "kill -9 $PPID"}})
	if !errors.Is(err, client.ErrEnded) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("killed under a job: %v", err)
	}
	<-l.Ended()
	if err := l.Close(); err == nil {
		t.Error("close does not tell that the agent was killed")
	}
	// The lab's own clean-up closes once more and must not fail the test.
	l.forgive()
}

func TestStartOfSomethingElse(t *testing.T) {
	nstest.NoLeak(t)
	for _, role := range []string{"noise", "quits", "no such role"} {
		if a, err := client.Start(within(t), nstest.Host(context.Background(), role, 23), client.Env{}); err == nil {
			t.Errorf("%s: started", role)
			_ = a.Close()
		}
	}
}

func TestAgentEndsWithContext(t *testing.T) {
	nstest.NoLeak(t)
	ctx, cancel := context.WithCancel(t.Context())
	a, err := client.Start(ctx, nstest.Host(context.Background(), "agent", 24), client.Env{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-a.Ended():
	case <-time.After(20 * time.Second):
		t.Fatal("the agent did not end")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestServeRefusals speaks the protocol by hand.
func TestServeRefusals(t *testing.T) {
	in, out := io.Pipe()
	reply, answers := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- client.Serve(context.Background(), in, answers)
		answers.Close()
	}()
	lines := json.NewDecoder(reply)
	for _, c := range []struct{ line, want string }{
		{`{"id":1,"kind":"resolve","args":{}}`, "no setup before it"},
		{`{"id":2,"kind":"setup","args":{"resolv":"/nowhere","ca":"/nowhere"}}`, ""},
		{`{"id":3,"kind":"juggle"}`, "juggle"},
		{`{"id":4,"kind":"resolve","args":[]}`, "arguments"},
		{`{"id":9,"kind":"cancel"}{"id":5,"kind":"resolve","args":{"name":"x"}}`, "/nowhere"},
		{`{"id":6,"kind":"http","args":{"host":"192.0.2.1"}}`, "lab CA"},
	} {
		if _, err := io.WriteString(out, c.line+"\n"); err != nil {
			t.Fatal(err)
		}
		var r client.Reply
		if err := lines.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Event != client.Done || (c.want == "") != (r.Error == "") || !strings.Contains(r.Error, c.want) {
			t.Errorf("%s: %+v, want %q", c.line, r, c.want)
		}
	}
	if _, err := io.WriteString(out, "no JSON\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("nonsense was taken for a job")
	}
}

func FuzzServe(f *testing.F) {
	f.Add(`{"id":1,"kind":"setup","args":{}}` + "\n" + `{"id":2,"kind":"resolve","args":{"name":"x"}}`)
	f.Add(`{"id":1,"kind":"cancel"}`)
	f.Add(`{"id":`)
	f.Fuzz(func(t *testing.T, in string) {
		if strings.Contains(strings.ToLower(in), "exec") || strings.Contains(in, `\u`) {
			return // a fuzzer must not choose programs to run
		}
		_ = client.Serve(context.Background(), strings.NewReader(in), io.Discard)
	})
}
