package census

import "github.com/trenza-router/trenza/router/capture"

// Bounds of a batch.
const (
	batchRecords = 1024
	batchBytes   = 1 << 20
)

// Batch holds packets between the file and the census, so that the time of reading the one and of thinking of the other can be told
// apart. The zero value is empty.
type Batch struct {
	records []capture.Record
	bytes   []byte
}

// Fill reads the next packets. When it returns an error, the end of the file or another one, it has read those before.
func (b *Batch) Fill(r *capture.Reader) error {
	b.records, b.bytes = b.records[:0], b.bytes[:0]
	for len(b.records) < batchRecords && len(b.bytes) < batchBytes {
		p, err := r.Next()
		if err != nil {
			return err
		}
		start := len(b.bytes)
		b.bytes = append(b.bytes, p.Data...) // what moves to a larger array stays readable in the old one
		p.Data = b.bytes[start:len(b.bytes):len(b.bytes)]
		b.records = append(b.records, p)
	}
	return nil
}

// Read gives the packets to a census.
func (b *Batch) Read(c *Census) {
	for _, r := range b.records {
		c.Packet(r)
	}
}
