package dpi

// berItem is one element of BER (ITU-T X.690 §8.1): a tag of one byte, a length and as many bytes.
type berItem struct {
	tag    byte
	at     int // where the content begins
	length int
}

// end is where the element ends; the bytes need not reach so far.
func (i berItem) end() int { return i.at + i.length }

// readBER reads the tag and the length at a place. Need: the bytes end before; NotMine: a length of more than four bytes, or an indefinite one.
func readBER(b []byte, at int) (berItem, Verdict) {
	if at+2 > len(b) {
		return berItem{}, Need
	}
	i := berItem{tag: b[at], at: at + 2, length: int(b[at+1])}
	if i.length < 0x80 {
		return i, Found
	}
	n := i.length & 0x7f
	if n == 0 || n > 4 {
		return berItem{}, NotMine
	}
	if i.at+n > len(b) {
		return berItem{}, Need
	}
	length := uint32(0)
	for _, c := range b[i.at : i.at+n] {
		length = length<<8 | uint32(c)
	}
	if length > 1<<24 {
		return berItem{}, NotMine
	}
	i.at, i.length = i.at+n, int(length)
	return i, Found
}

// berInteger reads a small positive INTEGER that lies within the bytes.
func berInteger(b []byte, at int) (value, end int, v Verdict) {
	i, v := readBER(b, at)
	switch {
	case v != Found:
		return 0, 0, v
	case i.tag != 2 || i.length < 1 || i.length > 5:
		return 0, 0, NotMine
	case i.end() > len(b):
		return 0, 0, Need
	}
	for _, c := range b[i.at:i.end()] {
		value = value<<8&0x7fffffff | int(c)
	}
	return value, i.end(), Found
}
