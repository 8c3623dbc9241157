package hal

import "errors"

var (
	// ErrNotFound: the rule, route, element, interface or flow does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists: something of that name or number exists and is not ours to replace.
	ErrExists = errors.New("already exists")
	// ErrUnsupported: this kernel or machine has no such feature; see Capability for what serves instead.
	ErrUnsupported = errors.New("not supported by this machine")
	// ErrPermission: the process lacks CAP_NET_ADMIN or CAP_NET_RAW in this network namespace.
	ErrPermission = errors.New("not permitted: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW")
	// ErrRefused: the kernel or nft understood the request and refused it; the message says why.
	ErrRefused = errors.New("refused by the kernel")
)
