package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/webui/auth"
)

// StreamLive sends a server-sent event a second, and one for everything that happens, until the client goes away (HTML
// living standard, server-sent events).
func (h *Handlers) StreamLive(ctx context.Context, _ StreamLiveRequestObject) (StreamLiveResponseObject, error) {
	select {
	case h.streams <- struct{}{}:
	default:
		return StreamLivedefaultJSONResponse{StatusCode: http.StatusServiceUnavailable, Body: Error{
			Message: fmt.Sprintf("%d pages are watching already: close some", maxStreams)}}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	go func() {
		select {
		case <-h.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	go func() {
		defer func() { <-h.streams }()
		defer cancel()
		who := auth.Of(ctx)
		err := h.engine.Watch(ctx,
			func(l engine.Live) error {
				if !h.auth.Valid(who) {
					return auth.ErrStranger // signed out, or a member of other devices now
				}
				return send(w, "live", live(h.sight(ctx).live(l)))
			},
			func(e engine.EventView) error {
				if !h.auth.Valid(who) {
					return auth.ErrStranger
				}
				if !h.sight(ctx).event(e) {
					return nil
				}
				return send(w, "event", event(e))
			})
		_ = w.CloseWithError(err) // documented to return nil always
	}()
	return StreamLive200TexteventStreamResponse{Body: stream{r, cancel}}, nil
}

// stream ends its writer when the response is over.
type stream struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (s stream) Close() error {
	s.cancel()
	return s.PipeReader.Close()
}

func send(w io.Writer, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sending a live event: %w", err)
	}
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
	return err
}
