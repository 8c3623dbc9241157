package ubus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/ubus"
	"github.com/trenza-router/trenza/hal/ubus/ubustest"
)

func dial(t *testing.T, d *ubustest.Daemon) *ubus.Client {
	t.Helper()
	c, err := ubus.Dial(t.Context(), d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCalls(t *testing.T) {
	d := ubustest.Start(t)
	d.Put("system", map[string]ubustest.Method{
		"board": func(ubus.Table) (ubus.Table, ubus.Code) {
			return ubus.Table{"model": "Router", "release": ubus.Table{"version": "24.10"}}, ubus.OK
		},
		"echo":   func(args ubus.Table) (ubus.Table, ubus.Code) { return args, ubus.OK },
		"refuse": func(ubus.Table) (ubus.Table, ubus.Code) { return nil, ubus.PermissionDenied },
	})
	c := dial(t, d)
	var board struct {
		Model   string
		Release struct{ Version string }
	}
	if err := c.Call(t.Context(), "system", "board", nil, &board); err != nil || board.Model != "Router" || board.Release.Version != "24.10" {
		t.Errorf("%+v, %v", board, err)
	}
	if err := c.Call(t.Context(), "system", "refuse", nil, nil); !errors.Is(err, ubus.PermissionDenied) {
		t.Errorf("a refused call: %v", err)
	}
	if err := c.Call(t.Context(), "system", "none", nil, nil); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("a method that is not there: %v", err)
	}
	if err := c.Call(t.Context(), "none", "none", nil, nil); !errors.Is(err, hal.ErrNotFound) || !strings.Contains(err.Error(), "none") {
		t.Errorf("an object that is not there: %v", err)
	}
	// An object that went and came has another number.
	d.Put("system", map[string]ubustest.Method{"echo": func(args ubus.Table) (ubus.Table, ubus.Code) { return args, ubus.OK }})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			var got struct{ N int }
			if err := c.Call(t.Context(), "system", "echo", ubus.Table{"n": i}, &got); err != nil || got.N != i {
				t.Errorf("%d came back as %d, %v", i, got.N, err)
			}
		})
	}
	wg.Wait()
	d.Put("network.interface.wan", nil)
	d.Put("network.interface.lan", nil)
	if paths, err := c.Paths(t.Context(), "network.interface.*"); err != nil || len(paths) != 2 || paths["network.interface.wan"] == 0 {
		t.Errorf("%v, %v", paths, err)
	}
	if paths, err := c.Paths(t.Context(), "nothing.*"); err != nil || len(paths) != 0 {
		t.Errorf("%v, %v", paths, err)
	}
}

func TestEvents(t *testing.T) {
	d := ubustest.Start(t)
	c := dial(t, d)
	got := make(chan string, 10)
	if err := c.Listen(t.Context(), "network.*", func(name string, data ubus.Table) { got <- name + " " + data["action"].(string) }); err != nil {
		t.Fatal(err)
	}
	d.Send("other", ubus.Table{"action": "x"})
	d.Send("network.interface", ubus.Table{"action": "ifup"})
	select {
	case e := <-got:
		if e != "network.interface ifup" {
			t.Errorf("the event is %s", e)
		}
	case <-time.After(time.Minute):
		t.Fatal("no event")
	}
}

// TestLostBus: whoever waits when the bus goes is told, and so is who comes later.
func TestLostBus(t *testing.T) {
	d := ubustest.Start(t)
	asked := make(chan struct{})
	hang := make(chan struct{})
	d.Put("slow", map[string]ubustest.Method{"wait": func(ubus.Table) (ubus.Table, ubus.Code) {
		close(asked)
		<-hang
		return nil, ubus.OK
	}})
	c := dial(t, d)
	result := make(chan error, 1)
	go func() { result <- c.Call(t.Context(), "slow", "wait", nil, nil) }()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Call(ctx, "slow", "wait", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that is given up: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, func() { close(hang) }) // the fake's method ends too
	d.Down()
	<-c.Done()
	<-result // told of the end, or answered just before
	if err := c.Call(t.Context(), "slow", "wait", nil, nil); err == nil {
		t.Error("a call without a bus is answered")
	}
	if _, err := ubus.Dial(t.Context(), d.Socket+"-none"); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("a machine without the bus: %v", err)
	}
}
