// Package changelog is the log of a replica: every commit, in order, in rows of a store. The log is the database;
// everything else can be built from it.
//
//	row key   'L' ‖ first commit BE64 ‖ incarnation BE64 ‖ part BE16
//
//	 segment:  the rows of one (first commit, incarnation), put together
//	┌────────┬───────┬─────────────┬──────────────┬───────┬────────────────┬────────┬─────────┐
//	│ format │ flags │ incarnation │ first commit │ parts │ [predecessor]  │ crc32c │ records │
//	│ 1 = 01 │ 1     │ BE64        │ BE64         │ BE16  │ BE64 BE64 BE32 │ LE32   │         │
//	└────────┴───────┴─────────────┴──────────────┴───────┴────────────────┴────────┴─────────┘
//	 flags 1: first segment of its incarnation; the predecessor follows: first commit and incarnation of
//	          the segment before, and the length that was read of it
//	 crc32c:  over the head, all before it: a row that lies about its parts must not pass for a torn one
//	 record:  length uv ‖ crc32c LE32 over (incarnation BE64 ‖ commit BE64 ‖ body) ‖ body       one record, one commit
//	 body:    items, each kind uv ‖ length uv ‖ bytes
//
//	 summary row key  'M' ‖ first commit BE64 of its first segment ‖ piece BE16
//	┌────────┬───────────────────────────────────────────────────────────────────────────────────┬────────┐
//	│ 1 = 01 │ per segment: first, last, incarnation, size, seq from, to, n × (device, gen, gen)  │ crc32c │
//	└────────┴───────────────────────────────────────────────────────────────────────────────────┴────────┘
//	 its checksum covers the key too. A segment with batches of very many devices has several summaries, pieces,
//	 in rows of their own. A run of generations that is empty, (device, g, g−1), is a cut: the device's id was given
//	 up (ItemReentry), and what earlier segments hold of it from g on does not count any more. A segment of size 0 is a
//	 hole: its rows are lost, and nobody reads them, but what a later commit puts in their place (ItemFill).
//
// A commit is appended to the last segment as long as that stays small (TailMax), by rewriting its row, and starts a segment
// otherwise. A commit larger than a row takes a segment of its own with as many parts as it needs, in one transaction.
//
// An incarnation is one engine's life on one store; its number grows. A segment of an earlier incarnation is never
// rewritten. What a dead engine may still have written is recognised by the next one's first segment: bytes of the
// predecessor beyond the length it names, and further segments of that incarnation, are void.
//
//	1@a [1 2 3|4 5]   ◀── 4@b names (1@a, length up to 3): 4 and 5 of a are void
//	4@b [4 5 6]  7@b [7 8] …
//
// A segment at the end of the log that lacks parts was torn while it was written, and was never confirmed: it is
// void too. Any other damage is a CorruptError.
package changelog

import (
	"encoding/binary"
	"hash/crc32"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/store"
)

// Limits of this package, in bytes.
const (
	// TailMax is how far the last segment grows by rewriting: re-putting a row of 4 KB costs hardly more than a new one.
	TailMax = 4 << 10
	// partMax is the size of a part; every store turns slow above 60,000 bytes.
	partMax = 59_000
	// recordMax bounds a record when reading. A group of batches is far below it; a device that comes back under a new
	// id writes all that it had not sent in one commit.
	recordMax = 1 << 30
	// summaryRow is where a summary row is full.
	summaryRow = 16 << 10
	// pieceSpans bounds the runs of one summary piece, at most 32 bytes each, so that a row stays far below store.MaxRow.
	pieceSpans = 400
	// cacheSegments and cacheBytes bound the decoded segments kept for reading single records: most segments have 4 KB,
	// a few a megabyte.
	cacheSegments = 64
	cacheBytes    = 4 << 20
)

const (
	rowSegment    = 'L'
	rowSummary    = 'M'
	formatSegment = 0x01
	flagFirst     = 0x01
	headLen       = 1 + 1 + 8 + 8 + 2
	predLen       = 8 + 8 + 4
	sumLen        = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError names what of the log is not as it was written.
type CorruptError struct {
	Segment Name
	Problem string
	Row     []byte // the key of the damaged row, where it is known
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("changelog: the segment of commit %d (incarnation %016x) is damaged: %s; nothing was changed: restore the store from a copy, or build the replica anew from the hub", e.Segment.First, e.Segment.Incarnation, e.Problem)
}

// Unwrap makes errors.Is(err, store.ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return store.ErrCorrupt }

// Name names a segment.
type Name struct {
	First       uint64 // its first commit
	Incarnation uint64
}

// Key is the key of a segment's first row.
func (n Name) Key() []byte { return n.row(0) }

func (n Name) row(part uint16) []byte {
	b := make([]byte, 0, 19)
	b = append(b, rowSegment)
	b = binary.BigEndian.AppendUint64(b, n.First)
	b = binary.BigEndian.AppendUint64(b, n.Incarnation)
	return binary.BigEndian.AppendUint16(b, part)
}

func parseRow(key []byte) (n Name, part uint16, ok bool) {
	if len(key) != 19 || key[0] != rowSegment {
		return Name{}, 0, false
	}
	n.First = binary.BigEndian.Uint64(key[1:])
	n.Incarnation = binary.BigEndian.Uint64(key[9:])
	return n, binary.BigEndian.Uint16(key[17:]), true
}

// Position names a place in a segment: what comes after Length bytes of it is not part of the log.
type Position struct {
	Name
	Length uint32
}

// segment is a segment as read: head and bytes of all parts.
type segment struct {
	name    Name
	parts   int // parts it should have
	have    int
	pred    *Position
	data    []byte // the whole, head included
	records int    // offset of the first record
}

func (s *segment) whole() bool { return s.have == s.parts }

func parseHead(name Name, b []byte) (*segment, error) {
	bad := func(f string, a ...any) (*segment, error) {
		return nil, &CorruptError{Segment: name, Problem: fmt.Sprintf(f, a...)}
	}
	if len(b) < headLen {
		return bad("its first row has %d bytes, a head has %d", len(b), headLen)
	}
	if b[0] != formatSegment {
		return bad("format %d, this engine knows %d: open it with a newer one", b[0], formatSegment)
	}
	pred := b[1] & flagFirst * predLen
	end := headLen + int(pred)
	if len(b) < end+sumLen {
		return bad("its head is cut short")
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return bad("the checksum of its head does not fit")
	}
	if b[1]&^flagFirst != 0 {
		return bad("unknown flags %#x", b[1])
	}
	if binary.BigEndian.Uint64(b[2:]) != name.Incarnation || binary.BigEndian.Uint64(b[10:]) != name.First {
		return bad("it belongs under another key")
	}
	s := &segment{name: name, parts: int(binary.BigEndian.Uint16(b[18:])), have: 1, data: b, records: end + sumLen}
	if s.parts == 0 {
		return bad("it says that it has no parts")
	}
	if pred != 0 {
		p := b[headLen:]
		s.pred = &Position{Name{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}, binary.BigEndian.Uint32(p[16:])}
	}
	return s, nil
}

// headSize is the length of a head.
func headSize(pred *Position) int {
	if pred != nil {
		return headLen + predLen + sumLen
	}
	return headLen + sumLen
}

// appendHead writes a head to an empty b.
func appendHead(b []byte, name Name, parts int, pred *Position) []byte {
	flags := byte(0)
	if pred != nil {
		flags = flagFirst
	}
	b = append(b, formatSegment, flags)
	b = binary.BigEndian.AppendUint64(b, name.Incarnation)
	b = binary.BigEndian.AppendUint64(b, name.First)
	b = binary.BigEndian.AppendUint16(b, uint16(parts))
	if pred != nil {
		b = binary.BigEndian.AppendUint64(b, pred.First)
		b = binary.BigEndian.AppendUint64(b, pred.Incarnation)
		b = binary.BigEndian.AppendUint32(b, pred.Length)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// ItemKind says what an item of a commit is.
type ItemKind uint64

// The kinds of items. Others are reserved: an engine that meets one refuses the log as written by a newer one.
const (
	ItemBatch    ItemKind = 1  // a batch of this device, not confirmed yet
	ItemEntry    ItemKind = 2  // seq uv ‖ feed entry
	ItemConfirm  ItemKind = 3  // seq uv ‖ kind 1 ‖ device 16 ‖ gen uv ‖ mac 16 ‖ annotation: a batch whose bytes the log has
	ItemMarker   ItemKind = 4  // change.Marker, after everything of the commit
	ItemOutcome  ItemKind = 5  // what became visible, where it is not what the batch wrote
	ItemIdentity ItemKind = 6  // device, lineage, database
	ItemReentry  ItemKind = 7  // old device 16 ‖ common uv ‖ new device 16
	ItemDismiss  ItemKind = 8  // device 16 ‖ gen BE64: a problem that the application has seen; ItemSettled is written today
	ItemBefore   ItemKind = 9  // change.Marker of a hub's feed before the entries of this commit
	ItemEpoch    ItemKind = 10 // change.Marker of a hub's feed, with the epoch that it has from here on
	ItemReset    ItemKind = 11 // reserved: pages were received
	ItemVoided   ItemKind = 12 // device 16 ‖ gen BE64 ‖ what a hub keeps of a batch that it refused
	ItemRewind   ItemKind = 13 // change.Marker to which a device went back, and the rows that what it left had touched
	ItemReshown  ItemKind = 14 // nothing: other rules changed what is shown of objects that the commit does not name
	ItemTrial    ItemKind = 40 // device 16 ‖ gen uv ‖ hash 16 ‖ incarnation BE64: a batch that a hub's engine may die at
	ItemTried    ItemKind = 41 // device 16: it did not, or the batch was refused
	ItemSubject  ItemKind = 42 // device 16 ‖ subject: whose device it is, at a hub
	ItemSettled  ItemKind = 43 // device 16 ‖ gen BE64 ‖ why it was refused: a problem that was dismissed or written anew
	ItemBase     ItemKind = 44 // rows of the tables as they are: behind a hole in the log, what is folded begins here
	ItemFill     ItemKind = 45 // records that stand for those of a hole: see Fill
)

// Item is one thing that a commit holds.
type Item struct {
	Kind ItemKind
	Data []byte
}

// Record is one commit.
type Record struct {
	Commit      uint64
	Incarnation uint64
	Items       []Item // they alias the row
}

// bodyLen is the length of the body of a record.
func bodyLen(items []Item) (n int) {
	for _, it := range items {
		n += uvarintLen(uint64(it.Kind)) + uvarintLen(uint64(len(it.Data))) + len(it.Data)
	}
	return n
}

func appendItems(b []byte, items []Item) []byte {
	for _, it := range items {
		b = change.AppendUvarint(b, uint64(it.Kind))
		b = change.AppendUvarint(b, uint64(len(it.Data)))
		b = append(b, it.Data...)
	}
	return b
}

func appendRecord(b []byte, inc, commit uint64, body int, items []Item) []byte {
	b = change.AppendUvarint(b, uint64(body))
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = appendItems(b, items)
	binary.LittleEndian.PutUint32(b[at:], recordSum(inc, commit, b[at+4:]))
	return b
}

// itemsOf reads the body of a record.
func itemsOf(rest []byte) (items []Item, ok bool) {
	for len(rest) > 0 {
		kind, w1 := binary.Uvarint(rest)
		if w1 <= 0 {
			return nil, false
		}
		size, w2 := binary.Uvarint(rest[w1:])
		if w2 <= 0 || size > uint64(len(rest)-w1-w2) {
			return nil, false
		}
		data := rest[w1+w2 : w1+w2+int(size) : w1+w2+int(size)]
		items = append(items, Item{ItemKind(kind), data})
		rest = rest[w1+w2+int(size):]
	}
	return items, true
}

func recordSum(inc, commit uint64, body []byte) uint32 {
	var h [16]byte
	binary.BigEndian.PutUint64(h[:], inc)
	binary.BigEndian.PutUint64(h[8:], commit)
	return crc32.Update(crc32.Checksum(h[:], castagnoli), castagnoli, body)
}

// readRecord reads one record at the start of b and returns its length.
func readRecord(name Name, commit uint64, b []byte) (Record, int, error) {
	bad := func(f string, a ...any) (Record, int, error) {
		return Record{}, 0, &CorruptError{Segment: name, Problem: fmt.Sprintf("commit %d: ", commit) + fmt.Sprintf(f, a...)}
	}
	n, w := binary.Uvarint(b)
	if w <= 0 || n > recordMax || uint64(len(b)-w) < n+4 {
		return bad("its record is cut short")
	}
	body := b[w+4 : w+4+int(n)]
	if recordSum(name.Incarnation, commit, body) != binary.LittleEndian.Uint32(b[w:]) {
		return bad("the checksum of its record does not fit")
	}
	rec := Record{Commit: commit, Incarnation: name.Incarnation}
	var ok bool
	if rec.Items, ok = itemsOf(body); !ok {
		return bad("an item is cut short")
	}
	return rec, w + 4 + int(n), nil
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// batchOf returns which batch's bytes an item holds, if it holds one, and its place in the feed (0: none).
func batchOf(it Item) (h change.Version, seq uint64, ok bool) {
	data := it.Data
	switch it.Kind {
	case ItemBatch:
	case ItemEntry:
		var w int
		if seq, w = binary.Uvarint(data); w <= 0 {
			return h, 0, false
		}
		kind, _, _, body, whole := change.CutEntry(data[w:])
		if !whole {
			return h, 0, false
		}
		if kind != change.EntryBatch {
			return h, seq, false
		}
		data = body
	case ItemConfirm:
		seq, _ = binary.Uvarint(data)
		return h, seq, false
	default:
		return h, 0, false
	}
	h, ok = change.PeekVersion(data)
	return h, seq, ok
}
