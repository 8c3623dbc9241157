package dpi

// readSSH reads the identification that both sides send first: "SSH-protoversion-software" (RFC 4253 §4.2).
func readSSH(v *View, r *Result) Verdict {
	return both(sshVersion(v.Client), sshVersion(v.Server), r, 95)
}

func sshVersion(b []byte) Verdict { return startsAny(b, "SSH-2.0-", "SSH-1.") }
