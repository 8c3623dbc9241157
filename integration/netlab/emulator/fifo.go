package emulator

// fifo is a first-in-first-out queue in a ring that grows by doubling and keeps
// its memory, so that a steady flow of frames allocates nothing.
type fifo[T any] struct {
	ring []T // length is a power of two, or 0
	head int
	n    int
}

func (q *fifo[T]) len() int { return q.n }

// front returns the oldest element; the queue must not be empty.
func (q *fifo[T]) front() T { return q.ring[q.head] }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(16, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = v
	q.n++
}

// pop removes and returns the oldest element; the queue must not be empty.
func (q *fifo[T]) pop() T {
	v := q.ring[q.head]
	var zero T
	q.ring[q.head] = zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return v
}
