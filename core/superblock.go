package core

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/digest"
	"vsync/core/fmt"
	"vsync/core/store"
)

// The superblock is the one row that opening begins with. It is written at opening, for the new incarnation, and as the last
// row of a checkpoint.
//
//	row 'S', and row 'S' 01, which is the same once more:
//	┌────────┬──────┬─────────────┬──────────┬────────────┬──────────────────┬──────┬──────────┬────────┐
//	│ format │ role │ incarnation │ database │ checkpoint │ start            │ head │ tables   │ crc32c │
//	│ 1 = 01 │ 1    │ BE64        │ uv bytes │ commit uv  │ BE64 BE64        │      │ uv bytes │ LE32   │
//	└────────┴──────┴─────────────┴──────────┴────────────┴──────────────────┴──────┴──────────┴────────┘
//	 start: the segment in which replay begins: its first commit and incarnation
//	 head:  device 16 ‖ lineage 16 ‖ last generation uv ‖ its hash 16 ‖ accepted uv ‖ marker uv bytes ‖
//	        n uv × (old device 16 ‖ common uv ‖ device 16 ‖ last uv ‖ commit uv)
//	        format 2: more, each once: what uv ‖ length uv ‖ bytes
//	        41: trials: n uv × (device 16 ‖ gen uv ‖ hash 16 ‖ incarnation BE64)
//	        40: the tabs that wrote last: n uv × (tab 8 ‖ highest counter uv ‖ device 16 ‖ generation uv)
//	        47: what was written again of former ids: n uv × (device 16 ‖ gen uv ‖ device 16 ‖ gen uv ‖ commit uv)
//	        48: former ids, up to where they were handed back: n uv × (device 16 ‖ gen uv)
//	        50: the end of the hub's feed when it had got back what the device has left: seq uv ‖ hash 16
//	        46: where the device went back to an earlier place of the feed: n uv × (commit uv ‖ seq uv)
//	        49: the rules in force: see rules.go
//	        51: the commit at which the log says anew what the tables hold uv: see base.go
//	        53: RoleHub: holes of the log that are filled: n uv × (first commit uv ‖ commit that holds what stands there uv)
//	        45: the tables that have a last page, so that one that is missing is missed
//	        52: the latest commit that a page may be of uv: a log that ends before it has lost its end
//
// Format 1 has no more, and is written where there is none. Head is the state at the checkpoint's commit; replay brings it forward.
type superblock struct {
	role        Role
	incarnation uint64
	database    string
	start       changelog.Name
	head        head
	lasts       string // tables that have a last page
	upTo        uint64 // the latest commit that a page may be of, where it is beyond the checkpoint's
}

const (
	formatSuperblock = 0x01
	formatMore       = 0x02

	moreTabs    = 40
	moreTrials  = 41
	moreLasts   = 45
	moreRewinds = 46
	moreRevived = 47
	moreSettled = 48
	moreRules   = 49
	moreBack    = 50
	moreBase    = 51
	moreUpTo    = 52
	moreFills   = 53
)

var (
	superblockRow = []byte{'S'}
	superblockTwo = []byte{'S', 1} // the same once more: the one row that the log cannot give back whole
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newSuperblock(cfg *Config) (*superblock, error) {
	sb := &superblock{role: cfg.Role, database: cfg.Database}
	if cfg.Role == RoleHub {
		sb.head.lineage = lineageOf(cfg.HubKey, cfg.Database)
		sb.head.marker.Epoch = 1
		return sb, nil
	}
	id, err := newID(cfg.Rand)
	sb.head.device = change.DeviceID(id)
	return sb, err
}

// lineageOf is the identity of a new hub. It follows from the key and the database: a hub whose storage was emptied is still the hub
// of its devices, which give it back what it had. Who wants another hub takes another key.
func lineageOf(key []byte, database string) change.Lineage {
	mac := digest.NewMAC(key)
	mac.Write([]byte("vsync lineage 1"))
	mac.Write([]byte(database))
	return change.Lineage(mac.Sum(nil)[:len(change.Lineage{})])
}

func (sb *superblock) fits(cfg *Config) error {
	if sb.role != cfg.Role {
		return errorf(Invalid, "this store holds a %s's replica, and was opened as a %s's: use another directory", sb.role, cfg.Role)
	}
	if sb.database != cfg.Database {
		return errorf(Invalid, "this store holds the database %q, not %q: use another directory", sb.database, cfg.Database)
	}
	return nil
}

func (r Role) String() string {
	if r == RoleHub {
		return "hub"
	}
	return "device"
}

func (sb *superblock) encode() []byte {
	b := []byte{formatSuperblock, byte(sb.role)}
	b = binary.BigEndian.AppendUint64(b, sb.incarnation)
	b = change.AppendUvarint(b, uint64(len(sb.database)))
	b = append(b, sb.database...)
	h := &sb.head
	b = change.AppendUvarint(b, h.commit)
	b = binary.BigEndian.AppendUint64(b, sb.start.First)
	b = binary.BigEndian.AppendUint64(b, sb.start.Incarnation)
	b = append(b, h.device[:]...)
	b = append(b, h.lineage[:]...)
	b = change.AppendUvarint(b, uint64(h.lastGen))
	b = append(b, h.lastHash[:]...)
	b = change.AppendUvarint(b, h.accepted)
	marker := h.marker.Encode()
	b = change.AppendUvarint(b, uint64(len(marker)))
	b = append(b, marker...)
	b = change.AppendUvarint(b, uint64(len(h.aliases)))
	for _, a := range h.aliases {
		b = append(b, a.Old[:]...)
		b = change.AppendUvarint(b, uint64(a.Common))
		b = append(b, a.New[:]...)
		b = change.AppendUvarint(b, uint64(a.last))
		b = change.AppendUvarint(b, a.commit)
	}
	if plain := len(b); len(sb.appendMore(b)) > plain {
		b = sb.appendMore(b)
		b[0] = formatMore
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// put adds both rows to a transaction.
func (sb *superblock) put(tx *store.Tx) {
	b := sb.encode()
	tx.Put(superblockTwo, b)
	tx.Put(superblockRow, b)
}

// superblocks is what a store has of superblocks.
type superblocks struct {
	sb     *superblock // the one that counts; nil: there is none
	fresh  bool        // the store is empty
	bad    []Finding   // rows that are damaged, or older copies than the other
	reason error       // why there is none
}

// readSuperblock reads both rows. They are written together, so where they differ, one is damaged or was put back from a copy: the
// one of the later incarnation counts, of the later checkpoint, of later pages.
func readSuperblock(ctx context.Context, st store.Store) (s superblocks, err error) {
	rows, err := st.Scan(ctx, store.Range{From: superblockRow, To: []byte{'S', 2}})
	if err != nil {
		return s, err
	}
	if len(rows) == 0 {
		first, err := st.Scan(ctx, store.Range{Limit: 1})
		if s.fresh = len(first) == 0; s.fresh || err != nil {
			return s, err
		}
		// A dead engine's first transaction may have come between the two.
		if rows, err = st.Scan(ctx, store.Range{From: superblockRow, To: []byte{'S', 2}}); err != nil || len(rows) == 0 {
			s.reason = errorf(Corrupt, "the store has rows but no superblock; nothing was changed: open it with repair, or restore it from a copy")
			return s, err
		}
	}
	var unknown error
	for _, r := range rows {
		sb, err := parseSuperblock(r.Value)
		switch {
		case errors.Is(err, &Error{Code: VersionUnknown}):
			unknown = err
			fallthrough
		case err != nil:
			s.reason = err
			s.bad = append(s.bad, Finding{Scope: ScopeSuperblock, Row: r.Key, Reason: fmt.Sprintf("its %d bytes are damaged", len(r.Value))})
		case s.sb == nil:
			s.sb = sb
		case sb.later(s.sb):
			s.bad = append(s.bad, olderSuperblock(superblockRow, s.sb, sb))
			s.sb = sb
		case s.sb.later(sb):
			s.bad = append(s.bad, olderSuperblock(r.Key, sb, s.sb))
		}
	}
	if s.sb != nil && len(rows) == 1 && string(rows[0].Key) != string(superblockRow) {
		s.bad = append(s.bad, Finding{Scope: ScopeSuperblock, Row: superblockRow, Reason: "it is missing", Missing: true})
	}
	if unknown != nil { // of a newer engine: whatever the other row says, this one does not understand the store
		return superblocks{reason: unknown}, unknown
	}
	return s, nil
}

func (sb *superblock) later(o *superblock) bool {
	return cmp.Or(cmp.Compare(sb.incarnation, o.incarnation), cmp.Compare(sb.head.commit, o.head.commit), cmp.Compare(sb.upTo, o.upTo)) > 0
}

func olderSuperblock(row []byte, old, now *superblock) Finding {
	return Finding{Scope: ScopeSuperblock, Row: row, Reason: fmt.Sprintf("it is an older copy: of incarnation %x and commit %d, while the other is of incarnation %x and commit %d",
		old.incarnation, old.head.commit, now.incarnation, now.head.commit)}
}

func parseSuperblock(b []byte) (*superblock, error) {
	n := len(b) - 4
	if n < 2 || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, errorf(Corrupt, "the superblock (%d bytes) is damaged; nothing was changed: open the store with repair, restore it from a copy, or build the replica anew from the hub", len(b))
	}
	if b[0] != formatSuperblock && b[0] != formatMore {
		return nil, errorf(VersionUnknown, "the store has format %d, this engine knows %d and %d: open it with a newer engine", b[0], formatSuperblock, formatMore)
	}
	r := &cutter{b: b[1:n]}
	sb := &superblock{role: Role(r.byte()), incarnation: r.be64(), database: string(r.bytes())}
	h := &sb.head
	h.commit = r.uvarint()
	sb.start = changelog.Name{First: r.be64(), Incarnation: r.be64()}
	copy(h.device[:], r.take(16))
	copy(h.lineage[:], r.take(16))
	h.lastGen = change.Generation(r.uvarint())
	copy(h.lastHash[:], r.take(16))
	h.accepted = r.uvarint()
	m, err := change.DecodeMarker(r.bytes())
	if err != nil {
		return nil, wrapf(Corrupt, err, "the superblock's marker cannot be read")
	}
	h.marker = m
	for range r.count(35) {
		var a alias
		copy(a.Old[:], r.take(16))
		a.Common = change.Generation(r.uvarint())
		copy(a.New[:], r.take(16))
		a.last, a.commit = change.Generation(r.uvarint()), r.uvarint()
		h.aliases = append(h.aliases, a)
	}
	if b[0] == formatMore {
		if err := sb.readMore(r); err != nil {
			return nil, err
		}
	}
	if r.err != nil || len(r.b) > 0 {
		return nil, errorf(Corrupt, "the superblock has another shape than format %d", b[0])
	}
	return sb, nil
}

// appendMore appends what format 1 has no place for.
func (sb *superblock) appendMore(b []byte) []byte {
	h := &sb.head
	if len(h.tabs) > 0 {
		x := change.AppendUvarint(nil, uint64(len(h.tabs)))
		for i := range h.tabs {
			t := &h.tabs[i]
			x = change.AppendUvarint(append(x, t.name[:]...), t.counter)
			x = change.AppendUvarint(append(x, t.version.Device[:]...), uint64(t.version.Gen))
		}
		b = appendField(b, moreTabs, x)
	}
	if len(h.trials) > 0 {
		x := change.AppendUvarint(nil, uint64(len(h.trials)))
		for _, t := range h.trials {
			x = t.append(x)
		}
		b = appendField(b, moreTrials, x)
	}
	if len(h.rewinds) > 0 {
		x := change.AppendUvarint(nil, uint64(len(h.rewinds)))
		for _, w := range h.rewinds {
			x = change.AppendUvarint(change.AppendUvarint(x, w.commit), w.seq)
		}
		b = appendField(b, moreRewinds, x)
	}
	if len(h.revived) > 0 {
		x := change.AppendUvarint(nil, uint64(len(h.revived)))
		for _, v := range h.revived {
			x = change.AppendUvarint(appendVersion(appendVersion(x, v.was), v.now), v.commit)
		}
		b = appendField(b, moreRevived, x)
	}
	if len(h.settled) > 0 {
		x := change.AppendUvarint(nil, uint64(len(h.settled)))
		for _, v := range h.settled {
			x = appendVersion(x, v)
		}
		b = appendField(b, moreSettled, x)
	}
	if len(h.rules) > 0 {
		b = appendField(b, moreRules, appendRules(nil, h.rules))
	}
	if h.owing() {
		b = appendField(b, moreBack, appendPlace(nil, h.back))
	}
	if h.base > 0 {
		b = appendField(b, moreBase, change.AppendUvarint(nil, h.base))
	}
	if len(h.fills) > 0 {
		x := change.AppendUvarint(nil, uint64(len(h.fills)))
		for _, f := range h.fills {
			x = change.AppendUvarint(change.AppendUvarint(x, f.first), f.commit)
		}
		b = appendField(b, moreFills, x)
	}
	if sb.lasts != "" {
		b = appendField(b, moreLasts, []byte(sb.lasts))
	}
	if sb.upTo > h.commit {
		b = appendField(b, moreUpTo, change.AppendUvarint(nil, sb.upTo))
	}
	return b
}

func appendField(b []byte, what uint64, data []byte) []byte {
	b = change.AppendUvarint(change.AppendUvarint(b, what), uint64(len(data)))
	return append(b, data...)
}

func (sb *superblock) readMore(r *cutter) error {
	h := &sb.head
	for len(r.b) > 0 && r.err == nil {
		what := r.uvarint()
		c := &cutter{b: r.bytes()}
		if r.err != nil {
			break
		}
		switch what {
		case moreTabs:
			for range c.count(26) {
				var t tab
				copy(t.name[:], c.take(8))
				t.counter = c.uvarint()
				copy(t.version.Device[:], c.take(16))
				t.version.Gen = change.Generation(c.uvarint())
				h.tabs = append(h.tabs, t)
			}
		case moreTrials:
			for range c.count(41) {
				h.trials = append(h.trials, c.trial())
			}
		case moreRewinds:
			for range c.count(2) {
				h.rewinds = append(h.rewinds, rewind{commit: c.uvarint(), seq: c.uvarint()})
			}
		case moreRevived:
			for range c.count(35) {
				h.revived = append(h.revived, revived{was: c.version(), now: c.version(), commit: c.uvarint()})
			}
		case moreSettled:
			for range c.count(17) {
				h.settled = append(h.settled, c.version())
			}
		case moreRules:
			h.rules = c.rules()
		case moreBack:
			h.back = c.place()
		case moreBase:
			h.base = c.uvarint()
		case moreFills:
			for range c.count(2) {
				h.fills = append(h.fills, fill{first: c.uvarint(), commit: c.uvarint()})
			}
		case moreLasts:
			sb.lasts = string(c.take(len(c.b)))
		case moreUpTo:
			sb.upTo = c.uvarint()
		default:
			return errorf(VersionUnknown, "the superblock has a field %d, which this engine does not know: open the store with a newer engine", what)
		}
		if c.err != nil || len(c.b) > 0 {
			return errorf(Corrupt, "field %d of the superblock cannot be read", what)
		}
	}
	return nil
}

// cutter takes fields off the front of bytes. After the first that is not there it gives zeros and keeps an error.
type cutter struct {
	b   []byte
	err error
}

func (c *cutter) take(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.b) {
		if c.err == nil {
			c.err = fmt.Errorf("%d bytes expected, %d are left", n, len(c.b))
		}
		c.b = nil
		return make([]byte, max(0, min(n, 16)))
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cutter) byte() byte   { return c.take(1)[0] }
func (c *cutter) be64() uint64 { return binary.BigEndian.Uint64(c.take(8)) }

func (c *cutter) uvarint() uint64 {
	v, w := binary.Uvarint(c.b)
	if w <= 0 {
		c.take(len(c.b) + 1)
		return 0
	}
	c.b = c.b[w:]
	return v
}

func (c *cutter) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.take(len(c.b) + 1)
		return nil
	}
	return c.take(int(n))
}

// count reads a number of things that take at least size bytes each.
func (c *cutter) count(size int) uint64 {
	n := c.uvarint()
	if n > uint64(len(c.b)/size) {
		c.take(len(c.b) + 1)
		return 0
	}
	return n
}
