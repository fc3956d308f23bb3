package edge

import "sync"

// joins counts what waits for its end: pushes and entries that come in parts, at most one of each connection.
//
// A subject has room for one of any size, and for several as far as they are within its share: so nobody takes all the room, whatever
// number of connections he has. Where nobody is asked for a token, all are one, and there are no shares.
type joins struct {
	limit, share int // bytes: of all together, and of the several of one subject; no share: 0

	mu  sync.Mutex // the last that is taken
	all int
	of  map[string]held // those that hold something
}

// held is what a subject has.
type held struct{ bytes, things int }

func (j *joins) init(limit, share int) { j.limit, j.share, j.of = limit, share, map[string]held{} }

// hold counts that a connection of a subject holds so many bytes, where it held was. It reports false if that is more than there is
// room for; it is counted even so, until the connection ends.
func (j *joins) hold(subject string, was, is int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	mine := j.of[subject]
	mine.bytes += is - was
	mine.things += btoi(is > 0) - btoi(was > 0)
	if j.of[subject] = mine; mine.things == 0 {
		delete(j.of, subject)
	}
	j.all += is - was
	return is <= was || j.all <= j.limit && (j.share == 0 || mine.things == 1 || mine.bytes <= j.share)
}

func (j *joins) bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.all)
}
