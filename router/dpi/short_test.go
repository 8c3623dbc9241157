package dpi

import "testing"

// TestShortDatagrams: no parser reads beyond the end of a datagram, wherever one that begins like its own ends and whatever its
// next byte says.
func TestShortDatagrams(t *testing.T) {
	heads := map[string]uint16{"": 0} // the starts of known datagrams, and a port where each was seen
	for _, v := range allVectors() {
		if v.over != overUDP {
			continue
		}
		for _, s := range v.said {
			for _, n := range []int{1, 4} {
				heads[string(s.bytes[:min(n, len(s.bytes))])] = v.server
			}
		}
	}
	var parsers []Parser
	for _, p := range Parsers() {
		if p.Over == overUDP {
			parsers = append(parsers, p)
		}
	}
	var r Result
	for head, port := range heads {
		for next := range 256 {
			datagram := append([]byte(head), byte(next), 0, 0, 1, 0, 0xff, 4)
			for end := len(head); end <= len(datagram); end++ {
				for _, p := range parsers {
					r.reset(p.Protocol)
					view := View{Proto: overUDP, ClientPort: 50000, ServerPort: port, Dir: Direction(next % 2), Payload: datagram[:end:end]}
					p.Read(&view, &r)
				}
			}
		}
	}
}
