package dpi

// readMQTT reads CONNECT: its type, a remaining length of one to four bytes, and the protocol's name (MQTT 5.0 §3.1; MQTT 3.1 §3.1).
func readMQTT(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x10"); v != Found {
		return v
	}
	for i := 1; i < 5; i++ {
		if len(b) <= i {
			return Need
		}
		if b[i] < 0x80 {
			return startsAny(b[i+1:], "\x00\x04MQTT\x04", "\x00\x04MQTT\x05", "\x00\x06MQIsdp\x03", "\x00\x04MQTT\x03")
		}
	}
	return NotMine
}
