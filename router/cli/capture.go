package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/trenza-router/trenza/webui/api"
)

type captureCommand struct {
	Device  string `arg:"" help:"Whose packets: a device's id or name."`
	To      string `help:"Only flows to this address."`
	Port    int    `help:"Only flows to this port."`
	Seconds int    `help:"How long." default:"30"`
	Packets int    `help:"How many at most." default:"10000"`
	Bytes   int    `help:"How much of each packet." default:"256"`
	Out     string `short:"o" help:"The file, in pcapng; - for standard output." required:"" placeholder:"FILE"`
}

func (c *captureCommand) Run(s *session) (err error) {
	client, err := s.client()
	if err != nil {
		return err
	}
	p := api.CaptureParams{Device: c.Device, Seconds: &c.Seconds, Packets: &c.Packets, Bytes: &c.Bytes}
	if c.To != "" {
		p.To = &c.To
	}
	if c.Port != 0 {
		p.Port = &c.Port
	}
	r, err := client.ClientInterface.Capture(s.ctx, &p)
	if err != nil {
		_, err = answered[struct{}](nil, nil, 0, err)
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		refused, err := api.ParseCaptureResponse(r)
		if err != nil {
			return fmt.Errorf("reading why there is no capture: %w", err)
		}
		_, err = answered[struct{}](nil, refused.JSONDefault, r.StatusCode, nil)
		return err
	}
	out := s.out
	if c.Out != "-" {
		f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("making the file of the capture: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	if _, err := io.Copy(out, r.Body); err != nil {
		return fmt.Errorf("writing the capture: %w; what came before stands", err)
	}
	return nil
}
