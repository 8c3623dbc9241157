package bond

// ring is a queue in one piece of memory that grows by doubling. The zero value is empty.
type ring[T any] struct {
	items []T // a power of two
	first int
	n     int
}

func (r *ring[T]) len() int { return r.n }
func (r *ring[T]) clear()   { clear(r.items); r.first, r.n = 0, 0 }

// at returns the i-th item, 0 being the oldest.
func (r *ring[T]) at(i int) *T { return &r.items[(r.first+i)&(len(r.items)-1)] }

func (r *ring[T]) push(v T) {
	if r.n == len(r.items) {
		grown := make([]T, max(8, 2*len(r.items)))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.items, r.first = grown, 0
	}
	r.n++
	*r.at(r.n - 1) = v
}

func (r *ring[T]) pop() T {
	v := *r.at(0)
	var none T
	*r.at(0) = none
	r.first = (r.first + 1) & (len(r.items) - 1)
	r.n--
	return v
}
