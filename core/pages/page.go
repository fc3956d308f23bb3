// Package pages keeps sorted tables of small entries in the rows of a store.
//
// A page row holds a run of neighbouring entries. It is keyed by its upper fence, the
// largest key that belongs to it, so that the page of a key is the first row at or after
// that key: there is no directory to keep, and none to damage.
//
//	row key   'P' ‖ table ‖ 00 ‖ fence       the last page of a table: 'P' ‖ table ‖ 01
//
//	 page:
//	┌────────┬───────┬───────────────────────┬──────────┬───────┬─────────────────┬─────────┬────────┐
//	│ format │ table │ stamp                 │ low      │ count │ offsets         │ entries │ crc32c │
//	│ 1 = 01 │ 1     │ commit epoch seq uv   │ uv bytes │ uv    │ count × LE16    │         │ LE32   │
//	└────────┴───────┴───────────────────────┴──────────┴───────┴─────────────────┴─────────┴────────┘
//	 entry:   key uv bytes ‖ place (00 here, 01 overflow) ‖ value
//	 overflow value: incarnation BE64 ‖ number BE32 ‖ length uv ‖ crc32c LE32
//	 its rows:  'O' ‖ incarnation BE64 ‖ number BE32 ‖ part BE16
//
// low is the fence of the page before (empty for the first): the page covers low < key ≤ fence.
// The stamp says up to which commit, and which place of the feed, the page is current: replay of the
// log skips a key whose page is already past the record. The checksum covers the row key too, so a
// row that turns up under another key is noticed. (uv = unsigned varint.)
//
// What changed since the last checkpoint stands in a memory table, a copy-on-write tree, which hides the
// pages below it. A checkpoint writes it out in steps of a bounded size; every step puts the
// left parts of a split before the page that keeps its fence, and removes pages that were joined with the next one
// after that, the highest first, so that any prefix of a step leaves all keys readable.
//
//	Get:  memory table ─▶ page cache ─▶ store (first row at or after the key)
//	Step: next changed key ─▶ its page ─▶ merge all changed keys of that page ─▶ split or join ─▶ rows
//
// A page found for a key that is not above its low shows that the page before it is missing.
//
// A table is named by an ASCII letter; keys have 1 to keyMax bytes.
package pages

import (
	"encoding/binary"
	"hash/crc32"

	"vsync/core/fmt"
	"vsync/core/store"
)

// Limits of this package, in bytes unless said otherwise.
const (
	pageTarget  = 24 << 10 // a page is split when it would be larger than pageMax; its parts aim at this
	pageMax     = 32 << 10 // 16–32 KB rows cost about as much as small ones to read, and one lookup finds them
	pageMin     = 4 << 10  // a page that has become smaller is joined with the next
	inlineMax   = 12 << 10 // a larger value goes to overflow rows: a page must hold several entries to be worth one
	overflowRow = 59_000   // under store.MaxRow, as the browsers' stores turn slow from 64 KiB
	keyMax      = 640      // table key: collection (64) + 0 + id (512), with room for others
	cachePages  = 512      // pages kept decoded: about 12 MB
	stretchKeys = 512      // a scan merges so many changed keys at a time: nobody may want all of them
	mendTries   = 4        // how often a read is repeated for damage: more than steps of a checkpoint come between
	builtPages  = 256      // pages in memory that stand for damaged ones
	staleTries  = 4        // how often a page is read again that others have changed meanwhile
	rebuildLeft = 4        // times what a step has moved: where no more is left in memory, the tree is made anew
	movedLeast  = 64       // bytes of an entry, as a step counts what it will move: most have more
	pageLen     = 11       // the shortest page: no entries, and no field longer than a byte
)

const (
	rowPage     = 'P'
	rowOverflow = 'O'
	formatPage  = 0x01
	placeInline = 0x00
	placeOver   = 0x01
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Stamp says up to where a page is current.
type Stamp struct {
	Commit uint64 // local commit number
	Epoch  uint64 // feed epoch of the confirmed layer
	Seq    uint64 // feed sequence of the confirmed layer, in that epoch
}

// CorruptError names a row whose bytes are not what was written.
type CorruptError struct {
	Row     []byte // the key of the page
	Problem string
	Over    [][]byte // keys of its overflow rows, if it is they that are damaged
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("pages: row %q is damaged: %s; check and repair the store, or let the replica be built anew from the hub", e.Row, e.Problem)
}

// Unwrap makes errors.Is(err, store.ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return store.ErrCorrupt }

// page is a decoded page row; entries are found through the offsets, without decoding the others.
type page struct {
	row     []byte // row key
	fence   string // "" for the last page
	last    bool   // the last page of its table: it has no upper bound
	low     []byte
	stamp   Stamp
	count   int
	offsets []byte
	entries []byte
	size    int

	// Of a page that was built in memory, for a damaged one:
	held  []entry    // its entries, all inline; nil: this is a page as it was read
	refs  [][]byte   // to overflow rows that go with the page that it replaces
	aside []setAside // the damaged rows
}

// rowOf is the row of the page with that fence, and the first place where the page of a key can stand.
func rowOf(table byte, fence string) []byte {
	return append([]byte{rowPage, table, 0}, fence...)
}

func lastRow(table byte) []byte { return []byte{rowPage, table, 1} }

// covers says that a key is not above the page.
func (p *page) covers(key string) bool { return p.last || key <= p.fence }

// encodePage builds the row of one page. Entries must be sorted.
func encodePage(row []byte, stamp Stamp, low []byte, es []entry) []byte {
	n := 64 + len(low)
	for _, e := range es {
		n += len(e.key) + len(e.val) + 8
	}
	b := make([]byte, 0, n)
	b = append(b, formatPage, row[1])
	b = binary.AppendUvarint(b, stamp.Commit)
	b = binary.AppendUvarint(b, stamp.Epoch)
	b = binary.AppendUvarint(b, stamp.Seq)
	b = binary.AppendUvarint(b, uint64(len(low)))
	b = append(b, low...)
	b = binary.AppendUvarint(b, uint64(len(es)))
	off := 0
	for _, e := range es {
		b = binary.LittleEndian.AppendUint16(b, uint16(off))
		off += e.size()
	}
	for _, e := range es {
		b = e.append(b)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(row, b))
}

func checksum(row, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(row, castagnoli), castagnoli, b)
}

// decodePage checks a row and opens it; the page aliases b.
func decodePage(row, b []byte) (*page, error) {
	if len(row) >= 3 && len(b) >= pageLen && checksum(row, b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, &CorruptError{Row: row, Problem: "its checksum does not fit"}
	}
	return openPage(row, b)
}

// openPage is decodePage of a row whose checksum was just made.
func openPage(row, b []byte) (*page, error) {
	bad := func(why string) (*page, error) { return nil, &CorruptError{Row: row, Problem: why} }
	if len(row) < 3 || len(b) < pageLen {
		return bad(fmt.Sprintf("a page of %d bytes is too short", len(b)))
	}
	body := b[:len(b)-4]
	if body[0] != formatPage {
		return bad(fmt.Sprintf("format %d, this engine knows %d", body[0], formatPage))
	}
	if body[1] != row[1] {
		return bad("it belongs to another table")
	}
	p := &page{row: row, fence: string(row[3:]), last: row[2] == 1, size: len(b)}
	if row[2] > 1 || p.last && len(row) > 3 {
		return bad("its key is neither a fence nor the last")
	}
	r := body[2:]
	var count uint64
	for _, f := range []*uint64{&p.stamp.Commit, &p.stamp.Epoch, &p.stamp.Seq} {
		if !uvarint(&r, f) {
			return bad("its stamp is cut short")
		}
	}
	var ok bool
	if p.low, ok = lenBytes(&r); !ok || !uvarint(&r, &count) || count > uint64(len(r)/2) {
		return bad("its head is cut short")
	}
	p.count = int(count)
	p.offsets, p.entries = r[:2*p.count], r[2*p.count:]
	for i := range p.count {
		if _, _, _, ok := p.at(i); !ok {
			return bad(fmt.Sprintf("entry %d of %d does not lie inside it", i, p.count))
		}
	}
	return p, nil
}

// at returns the i-th entry: key, place and value.
func (p *page) at(i int) (key []byte, place byte, val []byte, ok bool) {
	if p.held != nil {
		e := p.held[i]
		return []byte(e.key), e.place, e.val, true
	}
	from := int(binary.LittleEndian.Uint16(p.offsets[2*i:]))
	to := len(p.entries)
	if i+1 < p.count {
		to = int(binary.LittleEndian.Uint16(p.offsets[2*i+2:]))
	}
	if from > to || to > len(p.entries) {
		return nil, 0, nil, false
	}
	e := p.entries[from:to]
	key, ok = lenBytes(&e)
	if !ok || len(e) == 0 || e[0] > placeOver {
		return nil, 0, nil, false
	}
	return key, e[0], e[1:], true
}

// search returns the index of the first entry at or after key, and whether it is key.
func (p *page) search(key string) (int, bool) {
	low, high := 0, p.count
	if high == 0 || string(p.keyAt(high-1)) < key { // keys that ascend come to the end of a page
		return high, false
	}
	for low < high {
		mid := int(uint(low+high) / 2)
		if string(p.keyAt(mid)) < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, string(p.keyAt(low)) == key
}

// keyAt is the key of at, of an entry that at was asked for when the page was decoded.
func (p *page) keyAt(i int) []byte {
	if p.held != nil {
		return []byte(p.held[i].key)
	}
	from := int(binary.LittleEndian.Uint16(p.offsets[2*i:]))
	e := p.entries[from:]
	if n := int(e[0]); n < 0x80 {
		return e[1 : 1+n]
	}
	key, _ := lenBytes(&e)
	return key
}

// entry is one entry on its way into a page; val is the inline value or the overflow reference.
type entry struct {
	key   string
	place byte
	val   []byte
}

func (e entry) size() int { return uvarintLen(uint64(len(e.key))) + len(e.key) + 1 + len(e.val) }

func (e entry) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.key)))
	b = append(b, e.key...)
	b = append(b, e.place)
	return append(b, e.val...)
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

func uvarint(b *[]byte, out *uint64) bool {
	v, n := binary.Uvarint(*b)
	if n <= 0 {
		return false
	}
	*out, *b = v, (*b)[n:]
	return true
}

func lenBytes(b *[]byte) ([]byte, bool) {
	var n uint64
	if !uvarint(b, &n) || n > uint64(len(*b)) {
		return nil, false
	}
	v := (*b)[:n:n]
	*b = (*b)[n:]
	return v, true
}
