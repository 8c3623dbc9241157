package census

import "testing"

func TestDataPort(t *testing.T) {
	for line, want := range map[string]uint16{
		"PORT 10,91,0,1,161,107\r\n":                         41323,
		"227 Entering Passive Mode (10,91,0,2,83,136).\r\n":  21384,
		"227 Entering Passive Mode 10,91,0,2,83,136\r\n":     21384,
		"229 Entering Extended Passive Mode (|||27827|)\r\n": 27827,
		"EPRT |2|fd91::1|5282|\r\n":                          5282,
		"229 Entering Extended Passive Mode (|||27827|)":     0,
		"227 Entering Passive Mode (10,91,0,2,83,256).\r\n":  0,
		"227 Entering Passive Mode (10,91,0,2,83).\r\n":      0,
		"229 Entering Extended Passive Mode (|||65536|)\r\n": 0,
		"EPRT |1|10.91.0.1||\r\n":                            0,
		"PORT 10,91,0,1,,107\r\n":                            0,
		"227 (10,91,0,2,83,136)\r\n226 two lines\r\n":        0,
		"220 (vsFTPd 3.0.3)\r\n":                             0,
		"":                                                   0,
	} {
		got, ok := dataPort([]byte(line))
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %d, %t; want %d", line, got, ok, want)
		}
	}
}

func FuzzDataPort(f *testing.F) {
	f.Add([]byte("227 Entering Passive Mode (10,91,0,2,83,136).\r\n"))
	f.Add([]byte("EPRT |2|fd91::1|5282|\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		port, ok := dataPort(b)
		again, sure := dataPort(append(b[:len(b):len(b)], "\r\n"...))
		if ok && sure {
			t.Errorf("%q names %d, and with a line more %d", b, port, again)
		}
	})
}
