package dpi

// readSyslog reads a message over UDP (RFC 5426): "<priority>" and then a version (RFC 5424 §6), a date (RFC 3164 §4.1.2) or free text.
func readSyslog(v *View, r *Result) Verdict {
	form, verdict := syslogHead(v.Payload)
	switch {
	case verdict != Found:
		return NotMine
	case form:
		return sure(r, 95)
	case v.on(514):
		return sure(r, 80)
	case printable(v.Payload[:min(len(v.Payload), 64)]):
		return maybe(r, 60)
	}
	return NotMine
}

// readSyslogStream reads the first message over TCP, with or without its length before it (RFC 6587 §3.4).
func readSyslogStream(v *View, r *Result) Verdict {
	b := v.Client
	for i := 0; i < 5 && len(b) > 0 && b[0] >= '0' && b[0] <= '9'; i++ {
		if b = b[1:]; len(b) > 0 && b[0] == ' ' {
			b = b[1:]
			break
		}
	}
	form, verdict := syslogHead(b)
	switch {
	case verdict != Found:
		return verdict
	case form:
		return sure(r, 95)
	}
	return NotMine
}

// syslogHead reads the priority; form tells that a version or a month follows it.
func syslogHead(b []byte) (form bool, v Verdict) {
	if len(b) == 0 {
		return false, Need
	}
	if b[0] != '<' {
		return false, NotMine
	}
	priority := 0
	for i := 1; i < 5; i++ {
		if i >= len(b) {
			return false, Need
		}
		c := b[i]
		if c == '>' && i > 1 {
			rest := b[i+1:]
			if len(rest) < 4 {
				return false, Need
			}
			return syslogForm(rest), foundIf(priority <= 191)
		}
		if c < '0' || c > '9' || i == 4 {
			return false, NotMine
		}
		priority = priority*10 + int(c-'0')
	}
	return false, NotMine
}

func syslogForm(b []byte) bool {
	if b[0] == ' ' {
		b = b[1:]
	}
	if b[0] == '1' && b[1] == ' ' {
		return true
	}
	return startsAny(b, "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec") == Found
}
