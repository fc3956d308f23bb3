package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/merge"
	"vsync/core/objects"
	"vsync/core/store"
)

// vectors returns the bytes of all cases in a file of core/vectors, good and bad.
func vectors(tb testing.TB, file string) (out [][]byte) {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("vectors", file))
	if err != nil {
		tb.Fatal(err)
	}
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(raw, &lists); err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"good", "bad"} {
		var cases []struct{ Hex string }
		if err := json.Unmarshal(lists[name], &cases); err != nil {
			tb.Fatal(err)
		}
		for _, c := range cases {
			b, err := hex.DecodeString(c.Hex)
			if err != nil {
				tb.Fatal(err)
			}
			out = append(out, b)
		}
	}
	return out
}

// plan makes decisions out of a fuzzer's bytes. When they are used up it always decides for 0.
type plan struct{ b []byte }

func (p *plan) pick(n int) int {
	if len(p.b) == 0 {
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return int(v) % n
}

func (p *plan) left() bool { return len(p.b) > 0 }

// writers are the devices of a plan, with the end of the chain of each.
type writers struct {
	ids   []change.DeviceID
	gens  map[change.DeviceID]change.Generation
	ends  map[change.DeviceID]change.Hash
	known []change.Version // what may be named as a parent
}

func newWriters(ids ...change.DeviceID) *writers {
	return &writers{ids: ids, gens: map[change.DeviceID]change.Generation{}, ends: map[change.DeviceID]change.Hash{}}
}

// batch makes a batch as the plan says: mostly one that fits, now and then one that does not.
func (ws *writers) batch(p *plan) (bytes []byte, h change.Header, d change.DeviceID) {
	d = ws.ids[p.pick(len(ws.ids))]
	b := &change.Batch{Header: change.Header{Device: d, Gen: ws.gens[d] + 1, Stamp: uint64(p.pick(200)) * 1000}}
	prev := ws.ends[d]
	switch p.pick(16) {
	case 14:
		b.Gen += change.Generation(p.pick(3)) - 1
		if b.Gen == 0 {
			b.Gen = 1
		}
	case 15:
		prev[0]++
	}
	for i := range 1 + p.pick(3) {
		m := change.Mutation{Key: key(string(rune('a' + (i+p.pick(4))%5))), Kind: change.Kind(p.pick(2)), Value: value(p.pick(5))}
		if m.Kind == change.Delete {
			m.Value = nil
		}
		for range p.pick(4) {
			if n := len(ws.known); n > 0 {
				m.Parents = append(m.Parents, ws.known[n-1-p.pick(min(n, 8))])
			}
		}
		m.Parents = slices.DeleteFunc(m.Parents, func(v change.Version) bool { return v.Device == d && v.Gen >= b.Gen })
		slices.SortFunc(m.Parents, change.Version.Compare)
		m.Parents = slices.Compact(m.Parents)
		if !slices.ContainsFunc(b.Mutations, func(o change.Mutation) bool { return o.Key == m.Key }) {
			b.Mutations = append(b.Mutations, m)
		}
	}
	bytes, err := b.Encode(prev)
	if err != nil {
		panic(err)
	}
	return bytes, b.Header, d
}

func (ws *writers) taken(h *change.Header) {
	ws.gens[h.Device], ws.ends[h.Device] = h.Gen, h.Hash
	ws.known = append(ws.known, h.Version())
}

// survives checks that a replica is sound, and that what is stored is the same replica.
func (n *node) survives() {
	n.w.t.Helper()
	n.check()
	before, state := n.dump(), n.State()
	n.crash()
	if after := n.dump(); after != before {
		n.w.t.Fatalf("after a crash:\n%s\nbefore it:\n%s", after, before)
	}
	state.LogBytes, state.LogBehind = 0, 0
	again := n.State()
	if again.LogBehind = 0; again != state {
		n.w.t.Fatalf("after a crash %+v, before it %+v", again, state)
	}
}

// refusedWith holds an error against the codes that the caller must be able to give.
func refusedWith(t testing.TB, err error, codes ...Code) {
	t.Helper()
	if !slices.Contains(codes, codeOf(err)) {
		t.Fatalf("%T %v", err, err)
	}
}

// FuzzApply brings a device with unsent writes entries of any kind: whatever comes is taken whole or refused whole.
func FuzzApply(f *testing.F) {
	for i, b := range vectors(f, "entries.json") {
		f.Add(b, []byte{byte(i), 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	}
	for i := range 20 {
		b := make([]byte, 60)
		for j := range b {
			b[j] = byte(j*j*7 + i*31 + j)
		}
		f.Add([]byte{}, b)
	}
	w := newWorld(f)
	base := w.device()
	for i := range 4 {
		base.put("a", i)
		base.put("b", i)
	}
	base.push()
	base.pull()
	for i := range 5 {
		base.put("a", 10+i)
		base.put(string(rune('b'+i%3)), 10+i)
	}
	base.del("c")
	own, _, _, err := base.log.Find(w.ctx, change.Version{Device: base.State().Device, Gen: 8})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, entry, decisions []byte) {
		w := newWorld(t)
		n := w.start(&node{w: w, st: base.st.Clone(), feed: true})
		s := n.State()
		ws := newWriters(change.DeviceID{1}, change.DeviceID{2}, s.Device)
		ws.known = append(ws.known, change.Version{Device: s.Device, Gen: 7}, change.Version{Device: s.Device, Gen: 8})
		if h, _, err := change.DecodeHeader(own); err == nil {
			ws.gens[s.Device], ws.ends[s.Device] = h.Gen, h.Hash
		}
		p := &plan{decisions}
		n.applyRaw(t, entry)
		for range 20 {
			if !p.left() {
				break
			}
			n.applyPlanned(t, p, ws)
		}
		n.survives()
	})
}

// applyRaw gives a device any bytes as the next entry.
func (n *node) applyRaw(t *testing.T, entry []byte) {
	t.Helper()
	before := n.State()
	after := before.Marker.Hash
	if e, err := change.DecodeEntry(entry); err == nil {
		after = e.FeedHash(after)
	}
	as := []Arrival{{Seq: before.Marker.Seq + 1, Entry: append([]byte{}, entry...)}}
	if err := n.Apply(n.w.ctx, as, after); err != nil {
		refusedWith(t, err, Protocol, WrongHash, Gap)
		if now := n.State(); now != before {
			t.Fatalf("refused, and %+v became %+v", before, now)
		}
	}
	as[0] = Arrival{Seq: n.State().Marker.Seq + 1, Gen: change.Generation(len(entry)), Ann: entry, Void: len(entry)%2 == 0}
	if err := n.Apply(n.w.ctx, as, after); err != nil {
		refusedWith(t, err, Protocol, WrongHash, Gap)
	}
}

// applyPlanned gives a device one entry of a plan.
func (n *node) applyPlanned(t *testing.T, p *plan, ws *writers) {
	t.Helper()
	before := n.State()
	bytes, h, d := ws.batch(p)
	ann := change.Annotation{Accepted: uint64(p.pick(250)) * 1000}
	if p.pick(4) == 3 {
		ann.Stamp = uint64(1 + p.pick(9))
	}
	if p.pick(4) == 3 {
		ann.EParents = []change.EParents{{Index: p.pick(h.Count + 1)}}
		if p.pick(2) == 1 && len(ws.known) > 0 {
			ann.EParents[0].Parents = ws.known[:1]
		}
	}
	a := Arrival{Seq: before.Marker.Seq + 1}
	if d == before.Device { // the own next one, as the feed says it of it
		v := change.Version{Device: d, Gen: before.ConfirmedGen + 1}
		own, _, ok, err := n.log.Find(n.w.ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			bytes = own
			h, _, _ = change.DecodeHeader(own)
		}
	}
	e := change.NewBatchEntry(&h, bytes, ann)
	if p.pick(6) == 5 {
		e = change.NewVoidEntry(h.Version(), h.Hash, change.Annotation{Accepted: ann.Accepted, Reason: &change.Reason{Code: "INVALID", Message: "so"}})
	}
	enc, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if a.Entry = enc; d == before.Device && p.pick(2) == 1 {
		a = Arrival{Seq: a.Seq, Gen: h.Gen, Ann: e.Annotation.Encode(), Void: e.Kind == change.EntryVoid}
	}
	if err := n.Apply(n.w.ctx, []Arrival{a}, e.FeedHash(before.Marker.Hash)); err != nil {
		refusedWith(t, err, Protocol, WrongHash, Gap)
		if now := n.State(); now != before {
			t.Fatalf("refused with %v, and %+v became %+v", err, before, now)
		}
		return
	}
	ws.taken(&h)
}

// FuzzAccept pushes batches of any kind to a hub, several in a call.
func FuzzAccept(f *testing.F) {
	for i, b := range vectors(f, "batches.json") {
		f.Add(b, []byte{byte(i), 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	}
	for i := range 20 {
		b := make([]byte, 60)
		for j := range b {
			b[j] = byte(j*j*5 + i*29 + j)
		}
		f.Add([]byte{}, b)
	}
	f.Fuzz(func(t *testing.T, batch, decisions []byte) {
		w := newWorld(t)
		ws := newWriters(change.DeviceID{1}, change.DeviceID{2}, change.DeviceID{3})
		var d change.DeviceID
		if h, _, err := change.DecodeHeader(batch); err == nil {
			d = h.Device
		}
		w.hub.acceptSome(t, []Incoming{{Device: d, Bytes: batch}, {Device: d, Bytes: batch, Oversize: true}})
		for p := (&plan{decisions}); p.left(); {
			var in []Incoming
			saved := *ws
			ws.gens, ws.ends = map[change.DeviceID]change.Generation{}, map[change.DeviceID]change.Hash{}
			for d, g := range saved.gens {
				ws.gens[d], ws.ends[d] = g, saved.ends[d]
			}
			var heads []change.Header
			for range 1 + p.pick(4) {
				bytes, h, d := ws.batch(p)
				switch p.pick(12) {
				case 9:
					bytes[len(bytes)-1] ^= 1
				case 10:
					bytes = bytes[:len(bytes)-1-p.pick(40)]
				case 11:
					d[0]++
				}
				in = append(in, Incoming{Device: d, Bytes: bytes, Oversize: p.pick(20) == 19})
				heads = append(heads, h)
				ws.gens[h.Device], ws.ends[h.Device] = h.Gen, h.Hash
			}
			*ws = saved
			for i, v := range w.hub.acceptSome(t, in) {
				if v.Kind == Accepted || v.Kind == Voided {
					ws.taken(&heads[i])
				}
			}
		}
		w.hub.survives()
		a := w.device() // what the hub took, a device can take
		a.pull()
		if got, want := a.dump(), w.hub.dump(); got != want {
			t.Fatalf("device:\n%s\nhub:\n%s", got, want)
		}
		a.survives()
	})
}

// acceptSome holds the verdicts against what they say.
func (n *node) acceptSome(t *testing.T, in []Incoming) []Verdict {
	t.Helper()
	head := n.Head().Seq
	vs, err := n.Accept(n.w.ctx, in)
	if err != nil || len(vs) != len(in) {
		t.Fatalf("%d verdicts on %d batches, %v", len(vs), len(in), err)
	}
	refused := false
	for _, v := range vs {
		switch {
		case refused != (v.Kind == Refused) && refused:
			t.Fatalf("after a refusal: %+v", v)
		case v.Kind == Accepted || v.Kind == Voided:
			if head++; v.Seq != head {
				t.Fatalf("%+v, and %d is the next place", v, head)
			}
		case v.Kind != Duplicate && v.Kind != Refused || v.Seq != 0:
			t.Fatalf("%+v", v)
		}
		if (v.Code != "") != (v.Kind == Voided || v.Kind == Refused) {
			t.Fatalf("%+v", v)
		}
		refused = refused || v.Kind == Refused
	}
	if n.Head().Seq != head {
		t.Fatalf("the feed ends at %d, the verdicts at %d", n.Head().Seq, head)
	}
	return vs
}

func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clip(b), crc32.Checksum(b, castagnoli))
}

// FuzzSuperblock opens a store whose superblock is anything behind a right checksum.
// shownSuperblock is all that a superblock says; rules, which are held by pointers, as bytes.
func shownSuperblock(sb *superblock) string {
	plain := *sb
	plain.head.rules = nil
	return fmt.Sprintf("%+v %x", plain, appendRules(nil, sb.head.rules))
}

// FuzzTurns: what is read of what became visible is what would be written.
func FuzzTurns(f *testing.F) {
	v := change.Version{Device: change.DeviceID{1}, Gen: 3}
	f.Add(encodeTurns([]turn{{index: 1, winner: v, exists: true}, {index: 300, winner: v, exists: true, conflict: true, value: []byte{7}}, {index: 301}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		turns, err := decodeTurns(b)
		if err != nil {
			return
		}
		var list []turn
		for _, i := range slices.Sorted(maps.Keys(turns)) {
			list = append(list, turns[i])
		}
		again, err := decodeTurns(encodeTurns(list))
		if err != nil || !reflect.DeepEqual(again, turns) {
			t.Fatalf("%+v became %+v, %v", turns, again, err)
		}
	})
}

func FuzzSuperblock(f *testing.F) {
	w := newWorld(f)
	a := w.device()
	a.put("x", "1")
	f.Add([]byte{})
	f.Add([]byte{1, 0})
	for range 3 {
		if err := a.Checkpoint(w.ctx); err != nil {
			f.Fatal(err)
		}
		sb, _, _ := a.st.Get(w.ctx, superblockRow)
		f.Add(sb[:len(sb)-4])
		a.push()
		a.pull()
		a.put("x", "2")
		if err := a.Reenter(w.ctx); err != nil {
			f.Fatal(err)
		}
		if _, err := a.ask(nonceOf(1, w.now.Add(1)), "x"); err != nil {
			f.Fatal(err)
		}
	}
	more := &superblock{role: RoleHub, head: head{trials: []trial{{version: change.Version{Device: change.DeviceID{1}, Gen: 3}, engine: 1 << 32}}}}
	row := more.encode()
	f.Add(row[:len(row)-4])
	rules, err := merge.Parse(value(townRules))
	if err != nil {
		f.Fatal(err)
	}
	leaf := objects.Leaf{Version: change.Version{Device: change.DeviceID{1}, Gen: 3}, Stamp: 7, Value: rules.Encode()}
	row = (&superblock{head: head{rules: []ruling{{"c", leaf, rules}}}}).encode()
	f.Add(row[:len(row)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		row := seal(b)
		sb, err := parseSuperblock(row)
		if err != nil {
			refusedWith(t, err, Corrupt, VersionUnknown)
		} else if again, err := parseSuperblock(sb.encode()); err != nil || shownSuperblock(again) != shownSuperblock(sb) {
			t.Fatalf("%+v became %+v, %v", sb, again, err)
		}
		w := newWorld(t)
		st := a.st.Clone()
		tx := &store.Tx{}
		tx.Put(superblockRow, row)
		tx.Put(superblockTwo, row)
		if err := st.Commit(w.ctx, tx); err != nil {
			return // larger than a row
		}
		n := &node{w: w, st: st, feed: true}
		r, err := Open(w.ctx, st, n.config())
		if err != nil {
			refusedWith(t, err, Corrupt, VersionUnknown, Invalid, Locked)
			return
		}
		n.Replica = r // it may lie about everything but its checksum: what is asked for is an answer
		n.useAll(t)
		r.Close()
	})
}

// useAll reads and writes all that can be, and asks for nothing but typed errors.
func (n *node) useAll(t *testing.T) {
	t.Helper()
	ctx := n.w.ctx
	note := func(err error) {
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T %v", err, err)
		}
	}
	_, _, err := n.Get(ctx, key("a"))
	note(err)
	for _, err := range n.Scan(ctx, ScanRange{}) {
		note(err)
	}
	for _, err := range n.History(ctx, key("x")) {
		note(err)
	}
	_, err = n.Check(ctx)
	note(err)
	_, err = n.Problems(ctx)
	note(err)
	if n.role == RoleDevice {
		_, err = n.Hello(ctx)
		note(err)
		_, _, err = n.Unsent(ctx, 1, 1000)
		note(err)
		_, err = n.Put(ctx, key("a"), value("new"))
		note(err)
	} else {
		_, err = n.ReadFeed(ctx, 0, 1000)
		note(err)
	}
	events := 0
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, err := range n.Watch(watched, WatchOptions{From: watchMarker{}.String()}) {
		if err != nil && !errors.Is(err, context.Canceled) {
			note(err)
		}
		if events++; events > 5 {
			cancel()
		}
		break
	}
	note(n.Checkpoint(ctx))
}

// FuzzRecord opens a store whose log holds anything behind right checksums: items as a newer engine, a defective one, or an
// attacker with access to the disk would write them.
func FuzzRecord(f *testing.F) {
	for i, kind := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13} {
		f.Add([]byte{kind, 3, 1, 2, 3, byte(i), 0}, uint8(i))
	}
	for _, b := range vectors(f, "batches.json") {
		f.Add(append([]byte{1, byte(len(b)), byte(len(b) >> 8)}, b...), uint8(0))
	}
	for _, b := range vectors(f, "entries.json") {
		f.Add(append([]byte{2, byte(len(b) + 1), byte((len(b) + 1) >> 8), 1}, b...), uint8(1))
	}
	w := newWorld(f)
	a, hub := w.device(), w.hub
	for i := range 5 {
		a.put("x", i)
	}
	a.push()
	a.pull()
	a.put("x", "unsent")
	bases := []*node{a, hub}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		w := newWorld(t)
		base := bases[int(which)%len(bases)]
		n := &node{w: w, st: base.st.Clone(), feed: true, role: base.role}
		var items []changelog.Item
		for len(data) >= 3 && len(items) < 8 {
			size := min(int(data[1])|int(data[2])<<8, len(data)-3)
			items = append(items, changelog.Item{Kind: changelog.ItemKind(data[0]), Data: data[3 : 3+size]})
			data = data[3+size:]
		}
		l, err := changelog.Open(w.ctx, n.st, 1<<40, changelog.Name{}, func(*changelog.Log, changelog.Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		tx := &store.Tx{}
		l.Append(tx, items)
		read, err := readSuperblock(w.ctx, n.st)
		if err != nil {
			t.Fatal(err)
		}
		read.sb.incarnation = 1 << 40
		read.sb.put(tx)
		if err := n.st.Commit(w.ctx, tx); err != nil {
			t.Fatal(err)
		}
		r, err := Open(w.ctx, n.st, n.config())
		if err != nil {
			refusedWith(t, err, Corrupt, VersionUnknown)
			return
		}
		n.Replica = r
		n.useAll(t)
		r.Close()
	})
}

// FuzzDamage changes one row of a store: opening and reading say CORRUPT, or give what was there, and change no row.
func FuzzDamage(f *testing.F) {
	w := newWorld(f)
	a := w.device()
	a.Kill()
	a.cp = 4000
	a.open()
	for i := range 60 {
		a.put(fmt.Sprint("k", i%20), fmt.Sprintf("%060d", i))
	}
	a.push()
	a.pull()
	a.put("k1", "unsent")
	want := a.dump()
	rows, err := a.st.Scan(w.ctx, store.Range{})
	if err != nil {
		f.Fatal(err)
	}
	for i, r := range rows {
		f.Add(uint16(i), uint16(len(r.Value)/2), byte(1), uint16(0))
		f.Add(uint16(i), uint16(0), byte(0), uint16(1))
	}
	f.Fuzz(func(t *testing.T, which, at uint16, xor byte, cut uint16) {
		r := rows[int(which)%len(rows)]
		v := bytes.Clone(r.Value[:max(0, len(r.Value)-int(cut))])
		if len(v) > 0 {
			v[int(at)%len(v)] ^= xor
		}
		w := newWorld(t)
		n := &node{w: w, st: a.st.Clone(), feed: true}
		tx := &store.Tx{}
		tx.Put(r.Key, v)
		if err := n.st.Commit(w.ctx, tx); err != nil {
			t.Fatal(err)
		}
		if last := slices.IndexFunc(rows, func(r store.Row) bool { return r.Key[0] == 'M' }) - 1; int(which)%len(rows) == last {
			// Cut behind one of its commits, the last segment is what it was before the next one came.
			n.damaged(t, "", !bytes.Equal(v, r.Value))
			return
		}
		n.damaged(t, want, !bytes.Equal(v, r.Value))
	})
}
