package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/trenza-router/trenza/webui/api"
)

type linksCommand struct{}

// Run lists what is plugged in, whether a link stands on it or not.
func (linksCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.ListHardwareWithResponse(s.ctx)
	if err != nil {
		r = &api.ListHardwareResponse{}
	}
	all, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(all, func(w io.Writer) {
		table(w, func(t io.Writer) {
			fmt.Fprintln(t, "LINK\tKIND\tDEVICE\tPLUGGED IN AT\tSTATE\tSIGNAL\tMORE")
			for _, d := range all {
				state := string(d.State)
				if d.Detail != "" {
					state += " (" + d.Detail + ")"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", orDash(d.Link), d.Kind, orDash(d.Name), d.Id, state, signalText(d), hardwareText(d))
			}
		})
	})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func signalText(d api.Hardware) string {
	switch {
	case d.Wifi != nil && d.Wifi.Ssid != "":
		return fmt.Sprintf("%d %%", d.Wifi.Signal)
	case d.Modem == nil || d.Modem.Quality == 0:
		return "-"
	case d.Modem.Rsrp != nil:
		return fmt.Sprintf("%d %% (%.0f dBm)", d.Modem.Quality, *d.Modem.Rsrp)
	}
	return fmt.Sprintf("%d %%", d.Modem.Quality)
}

// hardwareText is what else there is to say of a device.
func hardwareText(d api.Hardware) string {
	words := []string{d.Model}
	if d.Wifi != nil && d.Wifi.Ssid != "" {
		words = append(words, fmt.Sprintf("joined %q", d.Wifi.Ssid))
	}
	if m := d.Modem; m != nil {
		words = append(words, m.Operator, m.Technology)
		if m.Roaming {
			words = append(words, "roaming")
		}
	}
	if d.Owner != "" {
		words = append(words, "owned by "+d.Owner)
	}
	var said []string
	for _, w := range words {
		if w != "" {
			said = append(said, w)
		}
	}
	return strings.Join(said, ", ")
}

// onDevice names the device that a command is for.
type onDevice struct {
	Device string `help:"Interface, port or link; may be left out when there is one of the kind."`
}

func (d onDevice) which() *string {
	if d.Device == "" {
		return nil
	}
	return &d.Device
}

type wifiCommand struct {
	Scan   wifiScanCommand   `cmd:"" help:"Look for networks."`
	Join   wifiJoinCommand   `cmd:"" help:"Join a network and remember it. The password is read from standard input."`
	Forget wifiForgetCommand `cmd:"" help:"Leave a network and forget its password."`
}

type wifiScanCommand struct{ onDevice }

func (c *wifiScanCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.ScanWiFiWithResponse(s.ctx, api.HardwareChoice{Device: c.which()})
	if err != nil {
		r = &api.ScanWiFiResponse{}
	}
	all, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(all, func(w io.Writer) {
		table(w, func(t io.Writer) {
			fmt.Fprintln(t, "NETWORK\tLOCK\tSIGNAL\tMHZ\t")
			for _, n := range all {
				name, mark := n.Ssid, ""
				switch {
				case n.Ssid == "":
					name = "(hidden)"
				case n.Joined:
					mark = "joined"
				case n.Known:
					mark = "known"
				}
				fmt.Fprintf(t, "%s\t%s\t%d %%\t%d\t%s\n", name, n.Security, n.Signal, n.Frequency, mark)
			}
		})
	})
}

type wifiJoinCommand struct {
	onDevice
	Network  string `arg:"" help:"Its name."`
	Open     bool   `help:"It has no password."`
	Hidden   bool   `help:"It does not tell its name; say how it is locked, too."`
	Security string `help:"open, wpa2, wpa3 or enterprise; default: as is heard." enum:",open,wpa2,wpa3,enterprise" default:""`
	User     string `help:"For enterprise networks."`
	Metered  bool   `help:"Its data cost money."`
}

func (c *wifiJoinCommand) Run(s *session) error {
	body := api.WiFiJoin{Device: c.which(), Ssid: c.Network}
	if !c.Open && c.Security != "open" {
		password, err := readSecret(s, "Password of "+c.Network+": ")
		if err != nil {
			return err
		}
		body.Password = &password
	}
	if c.Open {
		c.Security = "open"
	}
	if c.Security != "" {
		security := api.WiFiJoinSecurity(c.Security)
		body.Security = &security
	}
	if c.User != "" {
		body.User = &c.User
	}
	body.Hidden, body.Metered = &c.Hidden, &c.Metered
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.JoinWiFiWithResponse(s.ctx, body)
	if err != nil {
		r = &api.JoinWiFiResponse{}
	}
	d, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(d, func(w io.Writer) { fmt.Fprintf(w, "%s has joined %q.\n", d.Name, c.Network) })
}

type wifiForgetCommand struct {
	onDevice
	Network string `arg:"" help:"Its name."`
}

func (c *wifiForgetCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.ForgetWiFiWithResponse(s.ctx, api.WiFiForget{Device: c.which(), Ssid: c.Network})
	if err != nil {
		r = &api.ForgetWiFiResponse{}
	}
	d, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(d, func(w io.Writer) { fmt.Fprintf(w, "%s has forgotten %q.\n", d.Name, c.Network) })
}

type modemCommand struct {
	Unlock   modemUnlockCommand   `cmd:"" help:"Give the SIM card its PIN, once. It is read from standard input."`
	Connect  modemConnectCommand  `cmd:"" help:"Connect a modem that is no link's."`
	Reset    modemResetCommand    `cmd:"" help:"Start a modem anew."`
	Messages modemMessagesCommand `cmd:"" help:"List short messages, or delete one."`
	Send     modemSendCommand     `cmd:"" help:"Send a short message."`
}

// modemArgument names a modem as in onDevice.
type modemArgument struct {
	Modem string `arg:"" optional:"" help:"Port or link; may be left out when there is one."`
}

func (m modemArgument) which() *string { return onDevice{m.Modem}.which() }

type modemUnlockCommand struct {
	modemArgument
	LastTry bool `help:"Use the last try too: a wrong PIN then locks the card until its PUK is given."`
}

func (c *modemUnlockCommand) Run(s *session) error {
	pin, err := readSecret(s, "PIN: ")
	if err != nil {
		return err
	}
	return onModem(s, "is unlocked", func(ctx context.Context, client *api.ClientWithResponses) (*api.Hardware, *api.Error, int, error) {
		r, err := client.UnlockModemWithResponse(ctx, api.ModemUnlock{Device: c.which(), Pin: pin, LastTry: &c.LastTry})
		if err != nil {
			return nil, nil, 0, err
		}
		return r.JSON200, r.JSONDefault, r.StatusCode(), nil
	})
}

type modemConnectCommand struct {
	modemArgument
	APN     string `name:"apn" help:"Access point name, as the operator says."`
	Roaming bool   `help:"Also in another operator's network."`
}

func (c *modemConnectCommand) Run(s *session) error {
	return onModem(s, "is connected", func(ctx context.Context, client *api.ClientWithResponses) (*api.Hardware, *api.Error, int, error) {
		r, err := client.ConnectModemWithResponse(ctx, api.ModemConnect{Device: c.which(), Apn: &c.APN, Roaming: &c.Roaming})
		if err != nil {
			return nil, nil, 0, err
		}
		return r.JSON200, r.JSONDefault, r.StatusCode(), nil
	})
}

type modemResetCommand struct{ modemArgument }

func (c *modemResetCommand) Run(s *session) error {
	return onModem(s, "is starting anew", func(ctx context.Context, client *api.ClientWithResponses) (*api.Hardware, *api.Error, int, error) {
		r, err := client.ResetModemWithResponse(ctx, api.HardwareChoice{Device: c.which()})
		if err != nil {
			return nil, nil, 0, err
		}
		return r.JSON200, r.JSONDefault, r.StatusCode(), nil
	})
}

// onModem asks for something to be done with a modem and says that it is done.
func onModem(s *session, done string, ask func(context.Context, *api.ClientWithResponses) (*api.Hardware, *api.Error, int, error)) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	d, err := answered(ask(s.ctx, client))
	if err != nil {
		return err
	}
	return s.print(d, func(w io.Writer) { fmt.Fprintf(w, "The modem at %s %s.\n", d.Id, done) })
}

type modemMessagesCommand struct {
	modemArgument
	Delete string `help:"The message of this ID."`
}

func (c *modemMessagesCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	if c.Delete != "" {
		r, err := client.DeleteMessageWithResponse(s.ctx, &api.DeleteMessageParams{Device: c.which(), Id: c.Delete})
		if err != nil {
			r = &api.DeleteMessageResponse{}
		}
		return printMessages(s)(answered(r.JSON200, r.JSONDefault, r.StatusCode(), err))
	}
	r, err := client.ListMessagesWithResponse(s.ctx, &api.ListMessagesParams{Device: c.which()})
	if err != nil {
		r = &api.ListMessagesResponse{}
	}
	return printMessages(s)(answered(r.JSON200, r.JSONDefault, r.StatusCode(), err))
}

type modemSendCommand struct {
	Number string `arg:"" help:"Of whom it is for."`
	Text   string `arg:"" help:"What it says."`
	onDevice
}

func (c *modemSendCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.SendMessageWithResponse(s.ctx, api.MessageToSend{Device: c.which(), Number: c.Number, Text: c.Text})
	if err != nil {
		r = &api.SendMessageResponse{}
	}
	return printMessages(s)(answered(r.JSON200, r.JSONDefault, r.StatusCode(), err))
}

func printMessages(s *session) func([]api.ShortMessage, error) error {
	return func(all []api.ShortMessage, err error) error {
		if err != nil {
			return err
		}
		return s.print(all, func(w io.Writer) {
			table(w, func(t io.Writer) {
				fmt.Fprintln(t, "ID\tNUMBER\tTIME\tTEXT")
				for _, m := range all {
					at := "-"
					if m.At != nil {
						at = m.At.Local().Format("2 Jan 15:04")
					}
					direction := "from "
					if m.Sent {
						direction = "to "
					}
					fmt.Fprintf(t, "%s\t%s%s\t%s\t%q\n", m.Id, direction, m.Number, at, m.Text)
				}
			})
		})
	}
}

// readSecret reads one line of standard input: what stands in a command line is seen by every program of the machine.
func readSecret(s *session, prompt string) (string, error) {
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprint(s.errOut, prompt)
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
	secret := strings.TrimRight(line, "\r\n")
	if err != nil && !errors.Is(err, io.EOF) || secret == "" {
		return "", usageError(errors.New("nothing was read from standard input: type it, or pipe it in"))
	}
	return secret, nil
}
