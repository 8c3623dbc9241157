package ubus

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// wire is a message as libubus writes it, put together by hand from ubusmsg.h and blobmsg.h: an event of netifd's, `ubus send network.interface
// '{"action":"ifup","interface":"wan"}'` on its way to the object 0x12345678.
const wire = "00" + "05" + "0002" + "00000000" + // version, invoke, sequence, peer
	"00000054" + // all attributes: 80 bytes, and their header
	"03000008" + "12345678" + // object
	"04000016" + "6e6574776f726b2e696e7465726661636500" + "0000" + // method "network.interface"
	"07000030" + // data: 44 bytes, and its header
	"83000015" + "0006" + "616374696f6e" + "00" + "000000" + "6966757000" + "000000" + // "action": "ifup"
	"83000014" + "0009" + "696e74657266616365" + "00" + "77616e00" // "interface": "wan"

func event() *Message {
	return &Message{Type: Invoke, Sequence: 2, Object: 0x12345678, Method: "network.interface", Data: Table{"action": "ifup", "interface": "wan"}}
}

func TestWireForm(t *testing.T) {
	want, err := hex.DecodeString(wire)
	if err != nil {
		t.Fatal(err)
	}
	got, err := event().Append(nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("written: %v\n%x, want\n%x", err, got, want)
	}
	m, err := Read(bytes.NewReader(want))
	if err != nil || !reflect.DeepEqual(m, event()) {
		t.Errorf("read: %+v, %v", m, err)
	}
}

func TestValues(t *testing.T) {
	in := Table{
		"text": "ñ", "": "no name", "yes": true, "no": false, "small": 7, "negative": int64(-7), "large": int64(1 << 40), "half": 0.5, "nothing": nil,
		"table": Table{"list": []any{"a", int64(1), Table{}, []any{}}},
	}
	b, err := (&Message{Type: Data, Data: in}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	in["small"] = int64(7) // as all whole numbers are read
	if !reflect.DeepEqual(m.Data, in) {
		t.Errorf("%v came back as %v", in, m.Data)
	}
}

func TestRefusedValues(t *testing.T) {
	deep := Table{}
	for range deepest + 2 {
		deep = Table{"t": deep}
	}
	b, err := (&Message{Type: Data, Data: deep}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("tables in tables: %v", err)
	}
	for name, v := range map[string]any{"a zero in a text": "a\x00b", "a channel": make(chan int), "too long": strings.Repeat("x", 1<<24), "longer than a message": strings.Repeat("x", longest)} {
		if _, err := (&Message{Type: Data, Data: Table{"v": v}}).Append(nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, text := range map[string]string{
		"another version":         "01" + wire[2:],
		"shorter than its header": wire[:16] + "00000003" + wire[24:],
		"longer than any":         wire[:16] + "00ffffff" + wire[24:],
		"cut":                     wire[:len(wire)-8],
		"a name over the end":     strings.Replace(wire, "0009", "0fff", 1),
		"a value without a name":  strings.Replace(wire, "83000014", "03000014", 1),
		"a text without an end":   strings.Replace(wire, "77616e00", "77616e65", 1),
		"an attribute over all":   strings.Replace(wire, "03000008", "03000fff", 1),
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Read(bytes.NewReader(b)); err == nil {
			t.Errorf("%s is taken: %+v", name, m)
		}
	}
}

// FuzzRead: whatever comes is refused or read, and what is read is written and read again as the same.
func FuzzRead(f *testing.F) {
	b, err := hex.DecodeString(wire)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	b, err = (&Message{Type: Status, Status: NoData, Data: Table{"a": []any{nil, 1.5, "x"}}}).Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := m.Append(nil)
		if err != nil {
			return // texts with zeros in them, which are read to their end and never written
		}
		second, err := Read(bytes.NewReader(again))
		if err != nil {
			t.Fatalf("%x was written as %x, which is refused: %v", b, again, err)
		}
		third, err := second.Append(nil)
		if err != nil || !bytes.Equal(again, third) {
			t.Errorf("%x was written as %x, then as %x: %v", b, again, third, err)
		}
	})
}
