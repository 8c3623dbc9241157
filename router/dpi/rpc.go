package dpi

// Programs of ONC RPC that belong to the network file system (IANA rpc program numbers).
const (
	rpcNFS     = 100003
	rpcMount   = 100005
	rpcLock    = 100021
	rpcStatus  = 100024
	rpcNFSACL  = 100227
	rpcCallLen = 24
)

// readRPC reads a call of ONC RPC version 2 (RFC 5531 §9) over UDP; NFS and what helps it are told by the program.
func readRPC(v *View, r *Result) Verdict {
	if len(v.Payload) < rpcCallLen {
		return NotMine
	}
	return rpcCall(v.Payload, r)
}

// readRPCStream reads the same after the mark of a record (RFC 5531 §11).
func readRPCStream(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 0 && b[0] != 0x80 || len(b) > 1 && b[1] > 1 {
		return NotMine
	}
	if len(b) > 8 && b[8] != 0 || len(b) > 11 && be32(b[8:]) != 0 {
		return NotMine
	}
	if len(b) < 4+rpcCallLen {
		return Need
	}
	return rpcCall(b[4:], r)
}

// rpcCall reads number, type (0: call), RPC version, program, its version, procedure.
func rpcCall(b []byte, r *Result) Verdict {
	program, version, procedure := be32(b[12:]), be32(b[16:]), be32(b[20:])
	if be32(b[4:]) != 0 || be32(b[8:]) != 2 || version > 99 || procedure > 255 {
		return NotMine
	}
	switch {
	case program == rpcNFS, program == rpcMount, program == rpcLock, program == rpcStatus, program == rpcNFSACL:
		r.Protocol = NFS
	case program < 100_000 || program > 0x7fffffff:
		return NotMine
	}
	return sure(r, 95)
}
