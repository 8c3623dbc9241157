package capture

// wifi reads an IEEE 802.11 data frame (§9.2.4 of the 2020 edition) in the clear: as most drivers hand it to a monitor after decryption, or
// of an open network.
func wifi(b []byte) ([]byte, error) {
	const (
		typeData  = 2
		qos       = 0x80 // bit of the subtype, in the first byte
		noData    = 0x40
		toSystem  = 0x01
		fromDist  = 0x02
		protected = 0x40
		order     = 0x80
	)
	if len(b) < 24 || b[0]>>2&3 != typeData || b[0]&noData != 0 || b[1]&protected != 0 {
		return nil, ErrNotIP
	}
	header := 24
	if b[1]&toSystem != 0 && b[1]&fromDist != 0 { // from station to station of the distribution system
		header += 6
	}
	if b[0]&qos != 0 {
		header += 2
		if b[1]&order != 0 { // HT control
			header += 4
		}
	}
	return byEtherType(0, after(b, header))
}
