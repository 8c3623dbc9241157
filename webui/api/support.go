package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/support"
)

// supportEvents is how much of what happened is in a support bundle.
const supportEvents = 1000

// GetSupport packs what someone who helps needs to see. What holds secrets (users, sessions, keys of bonds, the authority) has no part in it; the configuration is
// in it without its own.
func (h *Handlers) GetSupport(ctx context.Context, _ GetSupportRequestObject) (GetSupportResponseObject, error) {
	now := time.Now()
	see := h.sight(ctx)
	var parts []support.Part
	var failed error
	add := func(name string, v any) {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil && failed == nil {
			failed = fmt.Errorf("writing %s of the support bundle: %w", name, err)
		}
		parts = append(parts, support.Part{Name: name, Text: append(text, '\n')})
	}
	add("status.json", status(h.engine.Status()))
	add("links.json", each(h.engine.Links(), link))
	add("qos.json", h.qos(ctx))
	add("devices.json", each(h.engine.Devices(), device))
	add("events.json", each(see.events(supportEvents), event))
	if failed != nil {
		return nil, failed
	}
	config, err := h.backups.Configuration(false)
	if err != nil {
		config = "# left out: " + err.Error() + "\n"
	}
	parts = append(parts, support.Part{Name: "config.yaml", Text: []byte(config)}, support.Part{Name: "policy.yaml", Text: []byte(h.engine.Policy().Text)},
		support.Part{Name: "log.txt", Text: h.recent.Text()})
	file, err := support.Bundle("trenza-support-"+now.UTC().Format("20060102-150405"), now, parts)
	if err != nil {
		return nil, err
	}
	h.record(ctx, "support.bundle", "", "", "")
	return GetSupport200ApplicationgzipResponse{Body: bytes.NewReader(file), ContentLength: int64(len(file))}, nil
}
