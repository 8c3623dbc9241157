package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// The order of a throughput connection: the client sends an Order line, the server answers with a Seen line, one of
// them sends a stream (Send) and the receiver checks it (Receive); after an upload the server sends an Outcome line.

// Direction is the way of the bytes, seen from the client.
type Direction string

// The directions of a stream.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// Limits of one stream.
const (
	MaxStreamBytes    = 1 << 40
	MaxStreamDuration = 6 * time.Hour
	maxLine           = 4 << 10
	maxChunk          = 16 << 10
)

// Order asks a throughput server for one stream. It ends at Bytes or after Duration, whichever is set and comes first.
type Order struct {
	Tag       string        `json:"tag,omitempty"`
	Direction Direction     `json:"direction"`
	Bytes     int64         `json:"bytes,omitempty"`
	Duration  time.Duration `json:"duration_ns,omitempty"`
	// Rate bounds the sender, in bit/s of payload; 0 is as fast as the path allows.
	Rate int64 `json:"rate_bps,omitempty"`
}

// Check says what is impossible in an order.
func (o Order) Check() error {
	switch {
	case o.Direction != Up && o.Direction != Down:
		return fmt.Errorf("direction %q: want %q or %q", o.Direction, Up, Down)
	case o.Bytes < 0 || o.Bytes > MaxStreamBytes:
		return fmt.Errorf("%d bytes: want 0 to %d", o.Bytes, int64(MaxStreamBytes))
	case o.Duration < 0 || o.Duration > MaxStreamDuration:
		return fmt.Errorf("duration %v: want 0 to %v", o.Duration, MaxStreamDuration)
	case o.Bytes == 0 && o.Duration == 0:
		return errors.New("neither bytes nor duration: say when the stream ends")
	case o.Rate < 0:
		return fmt.Errorf("rate %d bit/s: want 0 (unbounded) or more", o.Rate)
	}
	return nil
}

// Outcome is what the receiver of a stream found.
type Outcome struct {
	Bytes int64 `json:"bytes"`
	// Intact says that the stream came to its stated end with the right length and SHA-256.
	Intact bool   `json:"intact"`
	Error  string `json:"error,omitempty"`
	// Stall is the longest time without a byte, from the start of the stream to its end; StallAt is when it began.
	Stall   time.Duration `json:"stall_ns"`
	StallAt time.Time     `json:"stall_at"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// ErrCorrupt says that a stream reached its end but is not what was sent.
var ErrCorrupt = errors.New("stream differs from what was sent")

// WriteLine sends a value as one line of JSON.
func WriteLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// ReadLine reads one line of JSON of at most 4 KiB into v.
func ReadLine(r *bufio.Reader, v any) error {
	line, err := ReadText(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("decode line: %w", err)
	}
	return nil
}

// ReadText reads one line of at most 4 KiB and returns it without its end.
func ReadText(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("line longer than %d bytes", maxLine)
		}
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// Send writes the stream of an order: chunks of u32 length and payload, a zero length, then u64 total and the SHA-256
// of the payload. The payload is pseudo-random, so that neither compression nor a shifted byte goes unnoticed.
// The progress function, if any, is called after each chunk with the total so far. Send returns the payload bytes
// written and an error that is ctx's when that ended first.
func Send(ctx context.Context, w io.Writer, o Order, progress func(total int64)) (int64, error) {
	source := NewPayload(rand.Uint64())
	sum := sha256.New()
	buf := make([]byte, 4+chunkSize(o.Rate))
	pace := NewPace(o.Rate, time.Now())
	var total int64
	for (o.Bytes == 0 || total < o.Bytes) && (o.Duration == 0 || time.Since(pace.start) < o.Duration) {
		n := len(buf) - 4
		if left := o.Bytes - total; o.Bytes > 0 && left < int64(n) {
			n = int(left)
		}
		binary.BigEndian.PutUint32(buf, uint32(n))
		source.Fill(buf[4 : 4+n])
		sum.Write(buf[4 : 4+n])
		if _, err := w.Write(buf[:4+n]); err != nil {
			return total, fmt.Errorf("send stream after %d bytes: %w", total, err)
		}
		total += int64(n)
		if progress != nil {
			progress(total)
		}
		if err := pace.Wait(ctx, total); err != nil {
			return total, err
		}
	}
	end := binary.BigEndian.AppendUint64(make([]byte, 4), uint64(total))
	if _, err := w.Write(sum.Sum(end)); err != nil {
		return total, fmt.Errorf("send end of stream after %d bytes: %w", total, err)
	}
	return total, nil
}

// Receive reads one stream to its end and checks it. The outcome is filled in as far as it got even with an error:
// ErrCorrupt for a wrong sum, io.ErrUnexpectedEOF for a stream cut short, else the reader's own.
func Receive(r io.Reader, progress func(total int64)) (Outcome, error) {
	sum := sha256.New()
	buf := make([]byte, maxChunk)
	var out Outcome
	watch := NewStallWatch(time.Now())
	finish := func(err error) (Outcome, error) {
		now := time.Now()
		watch.Mark(now)
		out.Stall, out.StallAt, out.Elapsed = watch.Longest, watch.At, now.Sub(watch.start)
		if err != nil {
			out.Error = err.Error()
		}
		return out, err
	}
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return finish(fmt.Errorf("receive stream after %d bytes: %w", out.Bytes, unexpected(err)))
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if n == 0 {
			break
		}
		if n > maxChunk {
			return finish(fmt.Errorf("%w: chunk of %d bytes after %d", ErrCorrupt, n, out.Bytes))
		}
		// Read as it comes, not chunk by chunk: a stall inside a chunk counts too.
		for n > 0 {
			got, err := r.Read(buf[:n])
			sum.Write(buf[:got])
			n -= got
			out.Bytes += int64(got)
			if got > 0 {
				watch.Mark(time.Now())
				if progress != nil {
					progress(out.Bytes)
				}
			}
			if err != nil && n > 0 {
				return finish(fmt.Errorf("receive stream after %d bytes: %w", out.Bytes, unexpected(err)))
			}
		}
	}
	var end [8 + sha256.Size]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return finish(fmt.Errorf("receive end of stream after %d bytes: %w", out.Bytes, unexpected(err)))
	}
	if stated := binary.BigEndian.Uint64(end[:]); stated != uint64(out.Bytes) {
		return finish(fmt.Errorf("%w: %d bytes of %d", ErrCorrupt, out.Bytes, stated))
	}
	if !bytes.Equal(end[8:], sum.Sum(nil)) {
		return finish(fmt.Errorf("%w: SHA-256 over %d bytes", ErrCorrupt, out.Bytes))
	}
	out.Intact = true
	return finish(nil)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chunkSize is about 20 ms worth of a paced stream, so that a slow one flows instead of hiccuping.
func chunkSize(rate int64) int {
	if rate <= 0 {
		return maxChunk
	}
	return int(min(max(rate/8/50, 256), maxChunk))
}
