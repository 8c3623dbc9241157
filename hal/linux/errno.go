package linux

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// kernelError says what was being done, gives the kernel's own words where it has some (extended acknowledgement), and
// wraps both the errno and the value of package hal that tells the cause. A nil err stays nil.
func kernelError(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	doing = fmt.Sprintf(doing, args...)
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var op *netlink.OpError
	if errors.As(err, &op) && op.Message != "" {
		doing += ": " + op.Message
	}
	return fmt.Errorf("%s: %w (%w)", doing, causeOf(errno), errno)
}

// causeOf maps an errno to the error value of package hal that callers test for.
func causeOf(errno unix.Errno) error {
	switch errno {
	case unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.ENXIO:
		return hal.ErrNotFound
	case unix.EEXIST:
		return hal.ErrExists
	case unix.EPERM, unix.EACCES:
		return hal.ErrPermission
	case unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT:
		return hal.ErrUnsupported
	}
	return hal.ErrRefused
}
