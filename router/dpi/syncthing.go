package dpi

// Syncthing outside of TLS: local discovery (Local Discovery Protocol v4: a magic number and an announcement) and the
// relays (Relay Protocol v1). Its exchange of blocks is TLS with the protocol "bep/1.0".

func readSyncthing(v *View, _ *Result) Verdict {
	if starts(v.Payload, "\x2e\xa7\xd9\x0b") != Found {
		return NotMine
	}
	return Found
}

func readSyncthingRelay(v *View, r *Result) Verdict {
	return opening(v, r, func(b []byte, _ *Result) Verdict { return starts(b, "\x9e\x79\xbc\x40") })
}
