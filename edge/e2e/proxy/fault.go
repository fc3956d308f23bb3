package proxy

import (
	"iter"
	"math"
	"math/rand/v2"
	"time"
)

// A Direction is one way through a connection.
type Direction uint8

const (
	Up   Direction = iota // from who connected to the target
	Down                  // from the target
)

func (d Direction) String() string { return [...]string{"up", "down"}[d] }

// A Kind says what a fault does.
type Kind uint8

const (
	Delay  Kind = iota // the bytes behind the fault come a little later
	Stall              // nothing is read for a while, so that the sender's buffers fill up
	Reset              // both sockets are reset; what was on the way is lost
	Finish             // both sockets are finished in good order, in the middle of whatever it was
)

func (k Kind) String() string { return [...]string{"delay", "stall", "reset", "finish"}[k] }

// Cuts reports whether the connection ends with the fault.
func (k Kind) Cuts() bool { return k == Reset || k == Finish }

// A Fault happens to one direction of a connection.
type Fault struct {
	At   int64 // bytes of this direction that pass before it
	Kind Kind
	Time time.Duration // of Delay and Stall; what is left of it is dropped when the proxy is healed
}

// A Script yields the faults of one direction of a connection, the n-th from 0, by ascending At. Nil: none.
type Script func(n int, d Direction) iter.Seq[Fault]

// A Plan draws faults from a seed. The same Plan draws the same faults.
type Plan struct {
	Seed uint64
	// Gap is how many bytes lie between two faults of a direction, on average.
	Gap int64
	// Delays, Stalls and Cuts are the shares of the kinds; half of the cuts are resets.
	Delays, Stalls, Cuts int
	// MaxDelay and MaxStall bound the times, which are evenly spread.
	MaxDelay, MaxStall time.Duration
}

// Script returns the plan as a script.
func (p Plan) Script() Script {
	return func(n int, d Direction) iter.Seq[Fault] {
		return func(yield func(Fault) bool) {
			r := rand.New(rand.NewPCG(p.Seed, uint64(n)<<1|uint64(d)))
			for at := int64(0); ; {
				at += p.gap(r)
				f := p.draw(r)
				f.At = at
				if !yield(f) || f.Kind.Cuts() {
					return
				}
			}
		}
	}
}

// gap is evenly spread but for one in eight, which is of any magnitude alike: so that handshakes and the
// first frames are hit too.
func (p Plan) gap(r *rand.Rand) int64 {
	if r.IntN(8) == 0 {
		return int64(math.Exp(r.Float64() * math.Log(float64(2*p.Gap))))
	}
	return 1 + r.Int64N(2*p.Gap)
}

func (p Plan) draw(r *rand.Rand) Fault {
	switch n := r.IntN(p.Delays + p.Stalls + p.Cuts); {
	case n < p.Delays:
		return Fault{Kind: Delay, Time: time.Duration(r.Int64N(int64(p.MaxDelay) + 1))}
	case n < p.Delays+p.Stalls:
		return Fault{Kind: Stall, Time: time.Duration(r.Int64N(int64(p.MaxStall) + 1))}
	}
	return Fault{Kind: Reset + Kind(r.IntN(2))}
}
