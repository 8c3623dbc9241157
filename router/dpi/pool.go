package dpi

// maxIdle bounds the things of one kind that are kept for later.
const maxIdle = 32

// pool keeps things that flows use in turns. A nil pool makes new ones and keeps none.
type pool[T any] struct{ idle []*T }

func (p *pool[T]) take() *T {
	if p == nil || len(p.idle) == 0 {
		return new(T)
	}
	last := len(p.idle) - 1
	v := p.idle[last]
	p.idle = p.idle[:last]
	return v
}

func (p *pool[T]) give(v *T) {
	if p != nil && v != nil && len(p.idle) < maxIdle {
		p.idle = append(p.idle, v)
	}
}
