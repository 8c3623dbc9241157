package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/engine"
)

// hardwareFailure is failure for what the machine's services and devices refuse.
func hardwareFailure(err error) (int, Error) {
	for _, c := range []struct {
		is   error
		code int
	}{
		{hal.ErrWrongPassword, http.StatusUnprocessableEntity}, {hal.ErrWrongPIN, http.StatusUnprocessableEntity},
		{hal.ErrLastTry, http.StatusConflict}, {hal.ErrBusy, http.StatusConflict},
		{hal.ErrNotFound, http.StatusNotFound}, {hal.ErrOutOfRange, http.StatusNotFound},
		{hal.ErrRefused, http.StatusUnprocessableEntity}, {hal.ErrUnsupported, http.StatusUnprocessableEntity},
		{context.DeadlineExceeded, http.StatusGatewayTimeout},
	} {
		if errors.Is(err, c.is) {
			return c.code, Error{Message: err.Error()}
		}
	}
	return failure(err)
}

// ListHardware answers with what is plugged in.
func (h *Handlers) ListHardware(ctx context.Context, _ ListHardwareRequestObject) (ListHardwareResponseObject, error) {
	all, err := h.engine.Hardware(ctx)
	if err != nil {
		code, body := hardwareFailure(err)
		return ListHardwaredefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return ListHardware200JSONResponse(each(all, hardware)), nil
}

// ScanWiFi answers with what a device hears.
func (h *Handlers) ScanWiFi(ctx context.Context, r ScanWiFiRequestObject) (ScanWiFiResponseObject, error) {
	all, err := h.engine.ScanWiFi(ctx, value(value(r.Body).Device))
	if err != nil {
		code, body := hardwareFailure(err)
		return ScanWiFidefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return ScanWiFi200JSONResponse(each(all, func(n hal.Network) WiFiNetwork {
		return WiFiNetwork{
			Ssid: n.SSID, Bssid: n.BSSID.String(), Security: WiFiNetworkSecurity(n.Security), Signal: n.Signal,
			Frequency: n.Frequency, Known: n.Known, Joined: n.Joined,
		}
	})), nil
}

// JoinWiFi joins a network.
func (h *Handlers) JoinWiFi(ctx context.Context, r JoinWiFiRequestObject) (JoinWiFiResponseObject, error) {
	b := value(r.Body)
	security := value(b.Security)
	if security != "" && !security.Valid() {
		return JoinWiFidefaultJSONResponse{StatusCode: http.StatusBadRequest, Body: Error{Message: "security: use open, wpa2, wpa3 or enterprise"}}, nil
	}
	d, err := h.engine.JoinWiFi(ctx, value(b.Device), hal.JoinRequest{
		SSID: b.Ssid, Password: value(b.Password), Security: hal.Security(security), Hidden: value(b.Hidden), User: value(b.User), Metered: value(b.Metered),
	})
	if err != nil {
		code, body := hardwareFailure(err)
		return JoinWiFidefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return JoinWiFi200JSONResponse(hardware(d)), nil
}

// ForgetWiFi leaves a network and forgets its password.
func (h *Handlers) ForgetWiFi(ctx context.Context, r ForgetWiFiRequestObject) (ForgetWiFiResponseObject, error) {
	b := value(r.Body)
	d, err := h.engine.ForgetWiFi(ctx, value(b.Device), b.Ssid)
	if err != nil {
		code, body := hardwareFailure(err)
		return ForgetWiFidefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return ForgetWiFi200JSONResponse(hardware(d)), nil
}

// UnlockModem gives a card its PIN.
func (h *Handlers) UnlockModem(ctx context.Context, r UnlockModemRequestObject) (UnlockModemResponseObject, error) {
	b := value(r.Body)
	if len(b.Pin) < 4 || len(b.Pin) > 8 || strings.Trim(b.Pin, "0123456789") != "" {
		return UnlockModemdefaultJSONResponse{StatusCode: http.StatusBadRequest, Body: Error{Message: "pin: 4 to 8 digits"}}, nil
	}
	d, err := h.engine.UnlockModem(ctx, value(b.Device), b.Pin, value(b.LastTry))
	if err != nil {
		code, body := hardwareFailure(err)
		return UnlockModemdefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return UnlockModem200JSONResponse(hardware(d)), nil
}

// ConnectModem connects a modem.
func (h *Handlers) ConnectModem(ctx context.Context, r ConnectModemRequestObject) (ConnectModemResponseObject, error) {
	b := value(r.Body)
	d, err := h.engine.ConnectModem(ctx, value(b.Device), hal.Bearer{
		APN: value(b.Apn), User: value(b.User), Password: value(b.Password), Roaming: value(b.Roaming),
	})
	if err != nil {
		code, body := hardwareFailure(err)
		return ConnectModemdefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return ConnectModem200JSONResponse(hardware(d)), nil
}

// ResetModem starts a modem anew.
func (h *Handlers) ResetModem(ctx context.Context, r ResetModemRequestObject) (ResetModemResponseObject, error) {
	d, err := h.engine.ResetModem(ctx, value(value(r.Body).Device))
	if err != nil {
		code, body := hardwareFailure(err)
		return ResetModemdefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return ResetModem200JSONResponse(hardware(d)), nil
}

// ListMessages answers with a modem's short messages.
func (h *Handlers) ListMessages(ctx context.Context, r ListMessagesRequestObject) (ListMessagesResponseObject, error) {
	all, err := h.engine.Messages(ctx, value(r.Params.Device))
	if err != nil {
		code, body := hardwareFailure(err)
		return ListMessagesdefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return ListMessages200JSONResponse(each(all, message)), nil
}

// maxMessage bounds a message's bytes; operators cut it into parts of 153 characters.
const maxMessage = 1000

// SendMessage sends a short message.
func (h *Handlers) SendMessage(ctx context.Context, r SendMessageRequestObject) (SendMessageResponseObject, error) {
	b := value(r.Body)
	number := strings.TrimPrefix(b.Number, "+")
	if number == "" || len(number) > 23 || strings.Trim(number, "0123456789*#") != "" || b.Text == "" || len(b.Text) > maxMessage {
		return SendMessagedefaultJSONResponse{StatusCode: http.StatusBadRequest,
			Body: Error{Message: fmt.Sprintf("a message needs a number of digits and a text of at most %d bytes", maxMessage)}}, nil
	}
	all, err := h.engine.SendMessage(ctx, value(b.Device), b.Number, b.Text)
	if err != nil {
		code, body := hardwareFailure(err)
		return SendMessagedefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return SendMessage200JSONResponse(each(all, message)), nil
}

// DeleteMessage deletes a short message.
func (h *Handlers) DeleteMessage(ctx context.Context, r DeleteMessageRequestObject) (DeleteMessageResponseObject, error) {
	all, err := h.engine.DeleteMessage(ctx, value(r.Params.Device), r.Params.Id)
	if err != nil {
		code, body := hardwareFailure(err)
		return DeleteMessagedefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return DeleteMessage200JSONResponse(each(all, message)), nil
}

func message(m hal.Message) ShortMessage {
	return ShortMessage{Id: m.ID, Number: m.Number, Text: m.Text, At: some(m.At), Sent: m.Sent}
}

func hardware(d engine.HardwareView) Hardware {
	out := Hardware{
		Id: d.ID, Kind: HardwareKind(d.Kind), Name: d.Name, Model: d.Model, Owner: string(d.Owner), State: HardwareState(d.State), Detail: d.Detail,
		Link: d.Link, Addresses: each(d.Addrs, netip.Prefix.String), Gateways: each(d.Gateways, netip.Addr.String), Dns: each(d.DNS, netip.Addr.String),
		Mtu: d.MTU, Metered: d.Metered,
	}
	if d.Kind == hal.LinkWiFi {
		out.Wifi = &WiFiState{Ssid: d.WiFi.SSID, Signal: d.WiFi.Signal}
	}
	if d.Kind == hal.LinkModem {
		m := d.Modem
		out.Modem = &ModemState{
			Lock: m.Lock, Operator: m.Operator, Technology: m.Technology, Roaming: m.Roaming, Quality: m.Signal.Quality,
			Rsrp: some(m.Signal.RSRP), Rsrq: some(m.Signal.RSRQ), Sinr: some(m.Signal.SINR), Rssi: some(m.Signal.RSSI),
		}
		if m.Tries >= 0 {
			out.Modem.Tries = &m.Tries
		}
	}
	return out
}
