package seal

const doorLabel = "trenza bond door"

// DoorKey opens the door of a relay's web server: it proves, to whoever has the relay's public key and over the one TLS connection that
// binding was exported from (RFC 9266), that the sender has that key, too. It says nothing else of who that is: the handshake does.
func DoorKey(relay Key, binding []byte) [macSize]byte {
	key := labelled(doorLabel, relay)
	return keyedMAC(key[:], binding)
}
