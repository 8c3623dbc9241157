package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Writer writes a pcapng file of one section and one interface, with time stamps of nanoseconds.
type Writer struct {
	w      io.Writer
	buffer []byte
}

// NewWriter writes the head of a file whose packets have that link type.
func NewWriter(w io.Writer, link LinkType) (*Writer, error) {
	c := &Writer{w: w}
	c.begin(magicSection)
	c.u32(byteOrderMagic)
	c.u32(1)          // version 1.0
	c.u32(0xffffffff) // length of the section: not said
	c.u32(0xffffffff)
	if err := c.end(); err != nil {
		return nil, err
	}
	c.begin(blockInterface)
	c.u32(uint32(link) & 0xffff)
	c.u32(0) // no snapshot length
	c.option(optionResolution, []byte{9})
	c.option(optionEnd, nil)
	return c, c.end()
}

// maxCommentBytes is the longest comment that fits an option.
const maxCommentBytes = 1<<16 - 4

// Packet writes one packet. length is its size on the wire; comment, if not empty, is shown beside it by the usual tools.
func (c *Writer) Packet(at time.Time, data []byte, length int, comment string) error {
	if len(data) > maxPacket {
		return fmt.Errorf("writing a packet of %d bytes: at most %d fit", len(data), maxPacket)
	}
	stamp := uint64(at.UnixNano())
	c.begin(blockEnhanced)
	c.u32(0)
	c.u32(uint32(stamp >> 32))
	c.u32(uint32(stamp))
	c.u32(uint32(len(data)))
	c.u32(uint32(max(length, len(data))))
	c.padded(data)
	if comment != "" {
		c.option(optionComment, []byte(comment[:min(len(comment), maxCommentBytes)]))
		c.option(optionEnd, nil)
	}
	return c.end()
}

func (c *Writer) begin(kind uint32) {
	c.buffer = c.buffer[:0]
	c.u32(kind)
	c.u32(0) // the length, see end
}

func (c *Writer) u32(v uint32) { c.buffer = binary.LittleEndian.AppendUint32(c.buffer, v) }

func (c *Writer) padded(b []byte) {
	c.buffer = append(c.buffer, b...)
	for len(c.buffer)%4 != 0 {
		c.buffer = append(c.buffer, 0)
	}
}

func (c *Writer) option(code uint16, value []byte) {
	c.u32(uint32(code) | uint32(len(value))<<16)
	c.padded(value)
}

// end sets both lengths of the block and writes it.
func (c *Writer) end() error {
	size := uint32(len(c.buffer) + 4)
	binary.LittleEndian.PutUint32(c.buffer[4:], size)
	c.u32(size)
	if _, err := c.w.Write(c.buffer); err != nil {
		return fmt.Errorf("writing the capture: %w", err)
	}
	return nil
}
