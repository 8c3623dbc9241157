package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/quic-go/quic-go"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Cause says in one word why a flow failed: what a firewall's reject or drop looks like from the host.
type Cause string

// The causes.
const (
	Refused     Cause = "refused"     // TCP reset or ICMP port unreachable on connect
	Reset       Cause = "reset"       // a connection broken by its peer or a router
	Timeout     Cause = "timeout"     // no answer
	Unreachable Cause = "unreachable" // ICMP net, host or administratively unreachable, or no route
	BadName     Cause = "name"        // DNS has no address
	BadTLS      Cause = "tls"         // handshake or certificate
	Corrupt     Cause = "corrupt"     // a stream that differs from what was sent
	Canceled    Cause = "canceled"
	BadJob      Cause = "job" // the job itself is impossible
	Other       Cause = "other"
)

// Error is why a job failed. It crosses the line protocol; the errors behind it do not.
type Error struct {
	Text  string
	Cause Cause
}

func (e *Error) Error() string { return e.Text }

// CauseOf finds the cause in an error of a Client or Agent.
func CauseOf(err error) Cause {
	var (
		own        *Error
		name       *nameError
		job        *jobError
		alert      tls.AlertError
		unknown    x509.UnknownAuthorityError
		invalid    x509.CertificateInvalidError
		wrongHost  x509.HostnameError
		verify     *tls.CertificateVerificationError
		header     tls.RecordHeaderError
		idle       *quic.IdleTimeoutError
		handshake  *quic.HandshakeTimeoutError
		quicError  *quic.TransportError
		resetError *quic.StatelessResetError
		network    net.Error
		remote     *net.OpError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &own):
		return own.Cause
	case errors.As(err, &name):
		return BadName
	case errors.As(err, &job):
		return BadJob
	case errors.Is(err, wire.ErrCorrupt):
		return Corrupt
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.EOF), errors.As(err, &resetError):
		return Reset
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EACCES),
		errors.Is(err, syscall.EPERM):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded): // before Canceled: our own timeouts cancel what they give up
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.As(err, &remote) && remote.Op == "remote error", // how crypto/tls reports an alert of the peer
		errors.As(err, &alert), errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &wrongHost),
		errors.As(err, &verify), errors.As(err, &header),
		errors.As(err, &quicError) && quicError.ErrorCode.IsCryptoError():
		return BadTLS
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.As(err, &idle), errors.As(err, &handshake), errors.As(err, &network) && network.Timeout():
		return Timeout
	}
	return Other
}

// nameError says that DNS gave no address.
type nameError struct {
	name string
	why  error
}

func (e *nameError) Error() string { return fmt.Sprintf("resolve %s: %v", e.name, e.why) }
func (e *nameError) Unwrap() error { return e.why }

// jobError says that a job cannot be done as it is.
type jobError struct{ text string }

func (e *jobError) Error() string { return e.text }

func badJob(format string, args ...any) error { return &jobError{fmt.Sprintf(format, args...)} }
