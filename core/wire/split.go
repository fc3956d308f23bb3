package wire

import (
	"iter"

	"vsync/core/change"
	"vsync/core/fmt"
)

// envelope is more than what a push, changes or accepted frame has around its items: 3 bytes of
// array, type and map, the longest keys and numbers, the array's header, hash, part and more.
const envelope = 96

// itemHeader is the longest header of a bin.
const itemHeader = 5

// A run is some items that travel in one frame: items[from:to], or one piece of items[from].
type run struct {
	from, to int
	piece    []byte
	part     Part
}

// runs cuts items into runs whose frames stay within budget, in order. Items that fit stay whole and
// share a frame with their neighbours; one that does not travels alone, in pieces.
func runs(items [][]byte, budget int, yield func(run) bool) {
	room := max(budget, MinFrameBudget) - envelope
	for from := 0; from < len(items); {
		to, size := from, 0
		for to < len(items) && to-from < MaxItems && size+itemHeader+len(items[to]) <= room {
			size += itemHeader + len(items[to])
			to++
		}
		if to > from {
			if !yield(run{from: from, to: to}) {
				return
			}
			from = to
			continue
		}
		if !pieces(from, items[from], room-itemHeader, yield) {
			return
		}
		from++
	}
}

func pieces(at int, item []byte, room int, yield func(run) bool) bool {
	for index := uint64(0); len(item) > 0; index++ {
		n := min(room, len(item))
		r := run{from: at, to: at + 1, piece: item[:n:n], part: Part{Index: index, More: n < len(item)}}
		if !yield(r) {
			return false
		}
		item = item[n:]
	}
	return true
}

// list returns the items of the message for r.
func (r run) list(items [][]byte) [][]byte {
	if r.part.Split() {
		return [][]byte{r.piece}
	}
	return items[r.from:r.to:r.to]
}

// SplitPush yields the pushes that carry batches, the first of them of generation first, in frames of
// at most budget bytes. The messages alias batches.
func SplitPush(first change.Generation, batches [][]byte, budget int) iter.Seq[*Push] {
	return func(yield func(*Push) bool) {
		runs(batches, budget, func(r run) bool {
			return yield(&Push{Gen: first + change.Generation(r.from), Batches: r.list(batches), Part: r.part})
		})
	}
}

// SplitChanges yields the changes that carry entries, the first of them of sequence first, in frames
// of at most budget bytes; after[i] is the running hash of the feed after entries[i]. The messages
// alias entries.
func SplitChanges(first uint64, entries [][]byte, after []change.Hash, budget int) iter.Seq[*Changes] {
	return func(yield func(*Changes) bool) {
		runs(entries, budget, func(r run) bool {
			return yield(&Changes{Seq: first + uint64(r.from), Entries: r.list(entries), Hash: after[r.to-1], Part: r.part})
		})
	}
}

// SplitHandback yields the messages that hand entries back, as SplitChanges does.
func SplitHandback(first uint64, entries [][]byte, budget int) iter.Seq[*Handback] {
	return func(yield func(*Handback) bool) {
		runs(entries, budget, func(r run) bool {
			return yield(&Handback{Seq: first + uint64(r.from), Entries: r.list(entries), Part: r.part})
		})
	}
}

// SplitAccepted yields the messages that accept batches from sequence first and generation gen on, in
// frames of at most budget bytes; after[i] is the running hash after annotations[i], each of which is
// annotation ‖ MAC. The messages alias annotations.
func SplitAccepted(first uint64, gen change.Generation, annotations [][]byte, after []change.Hash, budget int) iter.Seq[*Accepted] {
	return func(yield func(*Accepted) bool) {
		runs(annotations, budget, func(r run) bool {
			return yield(&Accepted{
				Seq: first + uint64(r.from), Gen: gen + change.Generation(r.from),
				Annotations: r.list(annotations), Hash: after[r.to-1], Part: r.part,
			})
		})
	}
}

// Joined is what became of a message given to a Joiner.
type Joined uint8

const (
	Whole   Joined = iota // the message is complete: go on with it
	Waiting               // a part, kept: nothing to do before the next one
	Orphan                // a part without its beginning: a hub answers resend, a device connects again
)

func (j Joined) String() string {
	return [...]string{"whole", "waiting", "orphan"}[j]
}

// A Joiner puts the parts of one direction of one connection together. It holds at most one thing, at
// most as large as that may be. The zero Joiner is ready.
type Joiner struct {
	live  bool
	what  piece // of the part before
	bytes []byte
}

// A piece is what a Joiner looks at in a message.
type piece struct {
	typ        Type
	first, gen uint64 // numbers that all parts of one thing share
	hash       change.Hash
	part       Part
	items      *[][]byte
	limit      int
}

// pieceOf returns the piece that m is; false for messages that neither travel in parts nor end a
// thing that does.
func pieceOf(m Message) (piece, bool) {
	switch m := m.(type) {
	case *Push:
		return piece{typ: TypePush, gen: uint64(m.Gen), part: m.Part, items: &m.Batches, limit: change.MaxBatch}, true
	case *Changes:
		return piece{typ: TypeChanges, first: m.Seq, hash: m.Hash, part: m.Part, items: &m.Entries, limit: change.MaxEntry}, true
	case *Handback:
		return piece{typ: TypeHandback, first: m.Seq, part: m.Part, items: &m.Entries, limit: change.MaxEntry}, true
	case *Accepted:
		return piece{typ: TypeAccepted, first: m.Seq, gen: uint64(m.Gen), hash: m.Hash, part: m.Part, items: &m.Annotations, limit: maxAnnotationItem}, true
	case *Voided:
		return piece{typ: TypeVoided}, true
	}
	return piece{}, false
}

// Join takes the next message that came. For Whole, m is complete: a last part got the whole thing as
// its only item, which is the caller's, and its Part is zero. Pieces are copied, so frames may be
// reused. The error is a *ProtocolError; the Joiner is empty then.
func (j *Joiner) Join(m Message) (Joined, error) {
	p, ok := pieceOf(m)
	switch {
	case !ok:
		return Whole, nil
	case !p.part.Split() && !j.live:
		return Whole, nil
	case !j.live && p.part.Index > 0:
		return Orphan, nil
	case j.live && !j.follows(p):
		return Whole, j.refuse(p, CodeProtocol, fmt.Sprintf("expected part %d of %v, got %v part %d", j.what.part.Index+1, j.what.typ, p.typ, p.part.Index))
	case len(*p.items) != 1 || len((*p.items)[0]) == 0:
		return Whole, j.refuse(p, CodeInvalid, "expected one piece in a part")
	case len((*p.items)[0]) > p.limit-len(j.bytes):
		return Whole, j.refuse(p, CodeTooLarge, fmt.Sprintf("expected parts of at most %d bytes together", p.limit))
	}
	j.add((*p.items)[0], p.limit)
	j.what, j.live = p, true
	j.what.items = nil
	if p.part.More {
		return Waiting, nil
	}
	*p.items = [][]byte{j.bytes}
	setWhole(m)
	j.Reset()
	return Whole, nil
}

// follows reports whether p is the part behind the one before.
func (j *Joiner) follows(p piece) bool {
	w := j.what
	return p.typ == w.typ && p.first == w.first && p.gen == w.gen && p.hash == w.hash && p.part.Index == w.part.Index+1
}

// add copies b behind what there is. The buffer doubles, but never past limit.
func (j *Joiner) add(b []byte, limit int) {
	if need := len(j.bytes) + len(b); need > cap(j.bytes) {
		grown := make([]byte, len(j.bytes), min(limit, max(need, 2*cap(j.bytes))))
		copy(grown, j.bytes)
		j.bytes = grown
	}
	j.bytes = append(j.bytes, b...)
}

func (j *Joiner) refuse(p piece, code Code, problem string) error {
	j.Reset()
	e := &ProtocolError{Code: code, Message: p.typ, Field: "part", Offset: -1, Problem: problem}
	if p.typ == TypePush {
		e.Gen = change.Generation(p.gen)
	}
	return e
}

func setWhole(m Message) {
	switch m := m.(type) {
	case *Push:
		m.Part = Part{}
	case *Changes:
		m.Part = Part{}
	case *Handback:
		m.Part = Part{}
	case *Accepted:
		m.Part = Part{}
	}
}

// Reset forgets what is half there: a hub that sends resend does so.
func (j *Joiner) Reset() { *j = Joiner{} }

// Held returns the bytes that wait for their end.
func (j *Joiner) Held() int { return len(j.bytes) }
