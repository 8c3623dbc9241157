package modem

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

// Values of MMSmsState.
const (
	smsReceiving = 2
	smsSending   = 4
	smsSent      = 5
)

// Messages is hal.Modems' Messages; those of which parts are missing still are left out.
func (c *Client) Messages(ctx context.Context, id string) ([]hal.Message, error) {
	modem, _, err := c.find(ctx, id)
	if err != nil {
		return nil, err
	}
	var paths []bus.Path
	if err := c.bus.Call(ctx, service, modem, textingOf+".List", nil, &paths); err != nil {
		return nil, fmt.Errorf("listing the modem's messages: %w", err)
	}
	out := []hal.Message{}
	for _, p := range paths {
		var o bus.Options
		if err := c.bus.Call(ctx, service, p, "org.freedesktop.DBus.Properties.GetAll", []any{smsOf}, &o); err != nil {
			continue // deleted meanwhile
		}
		sms := bus.Properties(o)
		state := bus.Get[uint32](sms, "State")
		if state == smsReceiving {
			continue
		}
		m := hal.Message{ID: path.Base(string(p)), Number: bus.Get[string](sms, "Number"), Text: bus.Get[string](sms, "Text"), Sent: state == smsSending || state == smsSent}
		m.At = readTime(bus.Get[string](sms, "Timestamp"))
		out = append(out, m)
	}
	return out, nil
}

// readTime reads ISO 8601 with a zone of hours alone or of hours and minutes, as modems tell it; zero when it is neither.
func readTime(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05-07", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05-0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	return time.Time{}
}

// SendMessage is hal.Modems' SendMessage. What could not be sent is not kept.
func (c *Client) SendMessage(ctx context.Context, id, number, text string) error {
	modem, _, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cardTime)
	defer cancel()
	var sms bus.Path
	if err := c.bus.Call(ctx, service, modem, textingOf+".Create", []any{bus.Options{"number": bus.V(number), "text": bus.V(text)}}, &sms); err != nil {
		return fmt.Errorf("writing the message: %w", err)
	}
	if err := c.bus.Call(ctx, service, sms, smsOf+".Send", nil); err != nil {
		_ = c.bus.Call(context.WithoutCancel(ctx), service, modem, textingOf+".Delete", []any{sms}) // the error told is that of sending
		return fmt.Errorf("sending the message: %w", err)
	}
	return nil
}

// DeleteMessage is hal.Modems' DeleteMessage.
func (c *Client) DeleteMessage(ctx context.Context, id, message string) error {
	modem, _, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	var paths []bus.Path
	if err := c.bus.Call(ctx, service, modem, textingOf+".List", nil, &paths); err != nil {
		return fmt.Errorf("listing the modem's messages: %w", err)
	}
	for _, p := range paths {
		if path.Base(string(p)) == message {
			if err := c.bus.Call(ctx, service, modem, textingOf+".Delete", []any{p}); err != nil {
				return fmt.Errorf("deleting the message: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("message %s: %w", message, hal.ErrNotFound)
}
