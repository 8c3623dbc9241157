package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Record is one packet of a capture file.
type Record struct {
	At     time.Time
	Link   LinkType
	Data   []byte // what was captured, from the link header on; good until the next call of Next
	Length int    // bytes on the wire; Data is shorter when the capture was cut to a snapshot length
}

// Reader reads the packets of a capture file in their order.
type Reader struct {
	in     input
	format format
	failed error
}

// format reads one kind of file. next fills r; io.EOF is a clean end.
type format interface {
	next(in *input, r *Record) error
}

// Broken says where a capture file stops making sense. What was read before is good.
type Broken struct {
	Offset int64 // bytes from the start of the file to the record or block at fault
	Reason string
}

func (b *Broken) Error() string { return fmt.Sprintf("broken at byte %d: %s", b.Offset, b.Reason) }

// ErrNotCapture is returned by NewReader for a file of another kind.
var ErrNotCapture = errors.New("not a capture file: it starts neither as pcap nor as pcapng")

// Magic numbers, as the writer's byte order has them (draft-ietf-opsawg-pcap §4, draft-ietf-opsawg-pcapng §4.1).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // an old Linux patch: eight more bytes a record
	magicSection  = 0x0a0d0d0a // the same in both orders
)

// NewReader looks at the start of a file and makes the reader for it. The error is ErrNotCapture, a *Broken or one of r.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{in: input{r: bufio.NewReaderSize(r, 1<<16)}}
	head, err := c.in.r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) < 4 {
		return nil, ErrNotCapture
	}
	if binary.BigEndian.Uint32(head) == magicSection {
		c.format = &pcapng{}
		return c, nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch magic := order.Uint32(head); magic {
		case magicMicro, magicNano, magicModified:
			f, err := newPcap(&c.in, order, magic)
			if err != nil {
				return nil, err
			}
			c.format = f
			return c, nil
		}
	}
	return nil, ErrNotCapture
}

// Next returns the next packet. io.EOF is the end of a whole file; a *Broken that of a damaged one. After an error, Next
// returns the same again.
func (c *Reader) Next() (Record, error) {
	var r Record
	if c.failed == nil {
		c.failed = c.format.next(&c.in, &r)
	}
	if c.failed != nil {
		return Record{}, c.failed
	}
	return r, nil
}

// input counts the bytes that were read and keeps one buffer for the data of a record.
type input struct {
	r      *bufio.Reader
	offset int64
	buffer []byte
}

// Bounds on what a file may ask for. The longest packet is one of 512 KiB ("big TCP") with its headers.
const (
	maxPacket = 1 << 20
	maxBlock  = 1 << 24
)

// take reads n bytes, which are good until the next take. start is where the record began, for the error; what names it.
func (in *input) take(n int, start int64, what string) ([]byte, error) {
	if cap(in.buffer) < n {
		in.buffer = make([]byte, n+n/2)
	}
	b := in.buffer[:n]
	got, err := io.ReadFull(in.r, b)
	in.offset += int64(got)
	return b, ended(err, start, what)
}

// fill reads a header of fixed size into b. atEnd tells that the file ends cleanly before it.
func (in *input) fill(b []byte, start int64, what string) (atEnd bool, err error) {
	got, err := io.ReadFull(in.r, b)
	in.offset += int64(got)
	if err == io.EOF {
		return true, nil
	}
	return false, ended(err, start, what)
}

// skip leaves n bytes out.
func (in *input) skip(n int, start int64, what string) error {
	got, err := in.r.Discard(n)
	in.offset += int64(got)
	return ended(err, start, what)
}

func ended(err error, start int64, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Broken{start, "the file ends inside of " + what}
	}
	return err
}
