package change

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// A craft is a batch written field by field, so that each of them can be wrong. Hashes and counts
// are right unless given.
type craft struct {
	format      byte
	flags       []byte
	device      DeviceID
	gen         uint64
	stamp       []byte
	extra       []byte // nonce and note, as they stand
	colls       []string
	devs        []DeviceID
	count, size uint64
	body, hash  *Hash
	frames      [][]byte
	partial     []byte // body of a partial batch
}

func crafted(frames ...[]byte) craft {
	return craft{format: 1, flags: []byte{0}, device: device(1), gen: 2, stamp: []byte{9}, colls: []string{"c"}, frames: frames}
}

// mutation writes one: kind, collection index, id, then the rest as it is.
func mutation(kind, coll byte, id string, rest ...byte) []byte {
	m := append([]byte{kind, coll, byte(len(id))}, id...)
	return append(m, rest...)
}

func (c craft) bytes() []byte {
	var frames []byte
	for _, f := range c.frames {
		frames = append(binary.AppendUvarint(frames, uint64(len(f))), f...)
	}
	count, size, body := uint64(len(c.frames)), uint64(len(frames)), sum(frames)
	if c.count > 0 {
		count = c.count
	}
	if c.size > 0 {
		size = c.size
	}
	if c.body != nil {
		body = *c.body
	}
	b := append([]byte{c.format}, c.flags...)
	b = append(b, c.device[:]...)
	b = append(binary.AppendUvarint(b, c.gen), c.stamp...)
	b = append(b, c.extra...)
	b = binary.AppendUvarint(b, uint64(len(c.colls)))
	for _, name := range c.colls {
		b = appendText(b, name)
	}
	b = binary.AppendUvarint(b, uint64(len(c.devs)))
	for _, d := range c.devs {
		b = append(b, d[:]...)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, count), size)
	b = append(b, body[:]...)
	hash := sum(append(make([]byte, HashSize), b...))
	if c.hash != nil {
		hash = *c.hash
	}
	b = append(b, hash[:]...)
	if c.partial != nil {
		return append(b, c.partial...)
	}
	return append(b, frames...)
}

func (c craft) with(change func(*craft)) craft {
	change(&c)
	return c
}

// badBatches are refused by DecodeAny followed by Follows(zero).
func badBatches() []struct {
	about, name string
	b           []byte
} {
	type row = struct {
		about, name string
		b           []byte
	}
	put := mutation(0, 0, "a", 0, 0xc0)
	good := crafted(put)
	whole := good.bytes()
	zero := Hash{}
	with := func(f func(*craft)) []byte { return good.with(f).bytes() }
	devs := []DeviceID{device(2), device(3)}
	parents := func(rest ...byte) []byte {
		return good.with(func(c *craft) { c.devs = devs; c.frames = [][]byte{mutation(0, 0, "a", rest...)} }).bytes()
	}
	part := func(body ...byte) []byte {
		return crafted(put, mutation(1, 0, "b", 0), put).with(func(c *craft) { c.format = 2; c.partial = body }).bytes()
	}
	two := func(a, b []byte) []byte { return crafted(a, b).bytes() }
	liar := func(f func(*craft)) []byte {
		return crafted(put, mutation(0, 0, "b", 0, 0xc0), mutation(0, 0, "d", 0, 0xc0)).with(f).bytes()
	}
	longNote := append([]byte{0x81, 0x08}, bytes.Repeat([]byte("n"), 1025)...)
	return []row{
		{"nothing", "truncated", nil},
		{"format 3", "unknown_format", with(func(c *craft) { c.format = 3 })},
		{"flag bit 2", "reserved", with(func(c *craft) { c.flags = []byte{4} })},
		{"flags in two bytes", "not_minimal", with(func(c *craft) { c.flags = []byte{0x80, 0} })},
		{"device zero", "too_small", with(func(c *craft) { c.device = DeviceID{} })},
		{"generation 0", "too_small", with(func(c *craft) { c.gen = 0 })},
		{"generation 2^53", "too_large", with(func(c *craft) { c.gen = 1 << 53 })},
		{"stamp beyond 64 bits", "too_large", with(func(c *craft) { c.stamp = []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f") })},
		{"empty note", "not_minimal", with(func(c *craft) { c.flags = []byte{1}; c.extra = []byte{0} })},
		{"note of 1025 bytes", "too_large", with(func(c *craft) { c.flags = []byte{1}; c.extra = longNote })},
		{"note not UTF-8", "not_utf8", with(func(c *craft) { c.flags = []byte{1}; c.extra = []byte{1, 0xff} })},
		{"nonce zero", "not_minimal", with(func(c *craft) { c.flags = []byte{2}; c.extra = make([]byte, 9) })},
		{"no collections", "too_small", with(func(c *craft) { c.colls = nil })},
		{"collection name empty", "key", with(func(c *craft) { c.colls = []string{""} })},
		{"collection name with a control character", "key", with(func(c *craft) { c.colls = []string{"a\x1f"} })},
		{"collection name of 65 bytes", "too_large", with(func(c *craft) { c.colls = []string{strings.Repeat("c", 65)} })},
		{"collection twice", "duplicate", crafted(put, put).with(func(c *craft) { c.colls = []string{"c", "c"} }).bytes()},
		{"more collections than mutations", "unused", with(func(c *craft) { c.colls = []string{"c", "d"} })},
		{"collection unused", "unused", liar(func(c *craft) { c.colls = []string{"c", "d"} })},
		{"device in the table zero", "too_small", with(func(c *craft) { c.devs = []DeviceID{{}} })},
		{"device twice", "duplicate", with(func(c *craft) { c.devs = []DeviceID{device(2), device(2)} })},
		{"no mutations", "too_small", with(func(c *craft) { c.frames = nil })},
		{"20001 mutations", "too_large", with(func(c *craft) { c.count = 20001 })},
		{"frames of more than 8 MiB", "too_large", with(func(c *craft) { c.size = MaxBatch + 1 })},
		{"frames too short for their count", "size", with(func(c *craft) { c.count = 2 })},
		{"body of other frames", "body_hash", with(func(c *craft) { c.body = &zero })},
		{"hash of another chain", "chain", with(func(c *craft) { c.hash = &zero })},
		{"header cut short", "truncated", whole[:40]},
		{"frames cut short", "truncated", whole[:len(whole)-1]},
		{"bytes after the frames", "trailing", append(bytes.Clone(whole), 0)},
		{"fewer mutations than frames", "size", liar(func(c *craft) { c.count = 2 })},
		{"kind 2", "reserved", crafted(mutation(2, 0, "a", 0, 0xc0)).bytes()},
		{"mutation flag bit 3", "reserved", crafted(mutation(8, 0, "a", 0, 0xc0)).bytes()},
		{"changes in a delete", "reserved", crafted(mutation(5, 0, "a", 0, 1, 0xc0)).bytes()},
		{"collection index too high", "index", crafted(mutation(0, 1, "a", 0, 0xc0)).bytes()},
		{"collections not in order of use", "order", crafted(mutation(0, 1, "a", 0, 0xc0), put).with(func(c *craft) { c.colls = []string{"c", "d"} }).bytes()},
		{"id empty", "key", crafted(mutation(0, 0, "", 0, 0xc0)).bytes()},
		{"id not UTF-8", "key", crafted(mutation(0, 0, "\xff", 0, 0xc0)).bytes()},
		{"id of 513 bytes", "too_large", crafted(append(append([]byte{0, 0, 0x81, 4}, strings.Repeat("i", 513)...), 0, 0xc0)).bytes()},
		{"id cut short", "truncated", crafted([]byte{0, 0, 9, 'a', 'b', 'c'}).bytes()},
		{"65 parents", "too_large", parents(65)},
		{"more parents than bytes", "truncated", parents(2, 0, 1, 0xc0)},
		{"device index too high", "index", parents(1, 2, 1, 0xc0)},
		{"device not in order of use", "order", parents(1, 1, 1, 0xc0)},
		{"device unused", "unused", parents(1, 0, 1, 0xc0)},
		{"parent generation 0", "too_small", parents(1, 0, 0, 0xc0)},
		{"parent twice", "order", parents(2, 0, 1, 0, 1, 0xc0)},
		{"parents descending", "order", parents(2, 0, 2, 0, 1, 0xc0)},
		{"parent is the batch itself", "parent", good.with(func(c *craft) {
			c.devs = []DeviceID{device(1)}
			c.frames = [][]byte{mutation(0, 0, "a", 1, 0, 2, 0xc0)}
		}).bytes()},
		{"no value in a put", "truncated", crafted(mutation(0, 0, "ab", 0)).bytes()},
		{"a value in a delete", "trailing", crafted(mutation(1, 0, "a", 0, 0xc0)).bytes()},
		{"two values", "trailing", crafted(mutation(0, 0, "a", 0, 0xc0, 0xc0)).bytes()},
		{"value not canonical", "not_minimal", crafted(mutation(0, 0, "a", 0, 0xcc, 5)).bytes()},
		{"changes not canonical", "duplicate", crafted(mutation(4, 0, "a", 0, 7, 0x82, 0xa1, 'x', 1, 0xa1, 'x', 1, 0xc0)).bytes()},
		{"no changes", "truncated", crafted(mutation(4, 0, "a", 0, 0, 0xc0)).bytes()},
		{"object twice", "duplicate_object", two(put, mutation(1, 0, "a", 0))},
		{"partial with all frames", "not_minimal", part(append([]byte{3}, make([]byte, 21)...)...)},
		{"partial with an index too high", "index", part(1, 3, 6, 0, 0, 1, 'a', 0, 0xc0)},
		{"partial with an index twice", "order", part(2, 1, 6, 0, 0, 1, 'a', 0, 0xc0, 1, 6, 0, 0, 1, 'b', 0, 0xc0)},
		{"partial with bytes after", "trailing", part(1, 0, 6, 0, 0, 1, 'a', 0, 0xc0, 0)},
		{"partial cut short", "truncated", part(2, 0, 6, 0, 0, 1, 'a', 0)},
	}
}

type batchJSON struct {
	Device      string         `json:"device"`
	Gen         Generation     `json:"gen"`
	Stamp       uint64         `json:"stamp"`
	Nonce       *nonceJSON     `json:"nonce,omitempty"`
	Note        string         `json:"note,omitempty"`
	Collections []string       `json:"collections"`
	Devices     []string       `json:"devices"`
	Count       int            `json:"count"`
	Size        int            `json:"size"`
	Body        string         `json:"body"`
	Hash        string         `json:"hash"`
	Partial     bool           `json:"partial"`
	Mutations   []mutationJSON `json:"mutations"`
}

type nonceJSON struct {
	Tab     string `json:"tab"`
	Counter uint64 `json:"counter"`
}

type mutationJSON struct {
	Index      int             `json:"index"`
	Kind       string          `json:"kind"`
	Collection string          `json:"collection"`
	ID         string          `json:"id"`
	Parents    []string        `json:"parents"`
	Changes    json.RawMessage `json:"changes,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"`
}

func describeBatch(t *testing.T, b *Batch) batchJSON {
	t.Helper()
	j := batchJSON{
		Device: b.Device.String(), Gen: b.Gen, Stamp: b.Stamp, Note: b.Note, Collections: b.Collections, Devices: []string{},
		Count: b.Count, Size: b.Size, Body: b.Body.String(), Hash: b.Hash.String(), Partial: b.IsPartial, Mutations: []mutationJSON{},
	}
	if !b.Nonce.IsZero() {
		j.Nonce = &nonceJSON{hex.EncodeToString(b.Nonce.Tab[:]), b.Nonce.Counter}
	}
	for _, d := range b.Devices {
		j.Devices = append(j.Devices, d.String())
	}
	for _, m := range b.Mutations {
		j.Mutations = append(j.Mutations, describeMutation(t, m))
	}
	return j
}

func describeMutation(t *testing.T, m Mutation) mutationJSON {
	t.Helper()
	j := mutationJSON{Index: m.Index, Kind: m.Kind.String(), Collection: m.Key.Collection, ID: m.Key.ID, Parents: versionTexts(m.Parents)}
	for _, part := range []struct {
		b  []byte
		to *json.RawMessage
	}{{m.Changes, &j.Changes}, {m.Value, &j.Value}} {
		if len(part.b) == 0 {
			continue
		}
		js, err := ToJSON(part.b)
		if err != nil {
			t.Fatal(err)
		}
		*part.to = js
	}
	return j
}

func versionTexts(list []Version) []string {
	texts := []string{}
	for _, v := range list {
		texts = append(texts, v.String())
	}
	return texts
}

// sampleBatches returns a device's first batches, in order.
func sampleBatches(t testing.TB) []struct {
	about string
	b     *Batch
} {
	t.Helper()
	type row = struct {
		about string
		b     *Batch
	}
	val := func(v any) []byte { return mustEncode(t, v) }
	me, other, third := device(0x11), device(0x22), device(0x33)
	many := &Batch{Header: Header{Device: me, Gen: 3, Stamp: 1<<53 - 1}}
	for i := range 30 {
		many.Mutations = append(many.Mutations, Mutation{Key: Key{string(rune('a'+i%15)) + "s", string(rune('A' + i))}, Value: val(i),
			Parents: []Version{{device(byte(0x40 + i%14)), Generation(i + 1)}}})
	}
	return []row{
		{"one put", &Batch{Header: Header{Device: me, Gen: 1, Stamp: 1767322984678},
			Mutations: []Mutation{{Key: Key{"cities", "zürich"}, Value: val(Map{{"name", "Zürich"}, {"inhabitants", 443037}, {"area", 87.88}})}}}},
		{"all there is", &Batch{Header: Header{Device: me, Gen: 2, Stamp: 0, Note: "Änderung", Nonce: Nonce{[8]byte{1, 2, 3, 4, 5, 6, 7, 8}, 300}},
			Mutations: []Mutation{
				{Key: Key{"cities", "zürich"}, Value: val(Map{{"n", 3}}), Changes: val(Map{{"n", Map{{"counter", 2}}}}), Parents: []Version{{me, 1}, {other, 7}}},
				{Kind: Delete, Key: Key{"$rules", "a\x00b"}, Parents: []Version{{third, 300}, {other, 7}, {other, 6}}},
				{Key: Key{"notes", "zürich"}, Value: val(nil)},
			}}},
		{"tables too long to look through", many},
		{"a delete of what was never seen", &Batch{Header: Header{Device: me, Gen: 4, Stamp: 5}, Mutations: []Mutation{{Kind: Delete, Key: Key{"c", "x"}}}}},
	}
}

type goodBatch struct {
	About string    `json:"about"`
	Prev  string    `json:"prev"`
	Hex   string    `json:"hex"`
	Batch batchJSON `json:"batch"`
}

func batchVectors(t *testing.T) vectorFile {
	var good, bad []any
	add := func(about string, prev Hash, b []byte) {
		d, err := DecodeAny(b)
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		if err := d.Follows(prev); err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		good = append(good, goodBatch{about, prev.String(), hex.EncodeToString(b), describeBatch(t, d)})
	}
	var prev Hash
	for _, row := range sampleBatches(t) {
		b, err := row.b.Encode(prev)
		if err != nil {
			t.Fatalf("%s: %v", row.about, err)
		}
		add(row.about, prev, b)
		if d, err := Decode(b); err != nil || !reflect.DeepEqual(d, row.b) {
			t.Fatalf("%s: encoded %+v, decoded %+v, %v", row.about, row.b, d, err)
		}
		add(row.about+", partial: none", prev, row.b.Partial(func(Mutation) bool { return false }))
		if row.b.Count > 1 {
			add(row.about+", partial: cities and every third", prev, row.b.Partial(func(m Mutation) bool {
				return m.Key.Collection == "cities" || m.Index%3 == 2
			}))
		}
		prev = row.b.Hash
	}
	for _, row := range badBatches() {
		d, err := DecodeAny(row.b)
		if err == nil {
			err = d.Follows(Hash{})
		}
		if err == nil {
			t.Fatalf("%s: accepted as %+v", row.about, d)
		}
		if name := errorName(t, err); name != row.name {
			t.Fatalf("%s: got %q (%v), want %q", row.about, name, err, row.name)
		}
		bad = append(bad, badCase{About: row.about, Hex: hex.EncodeToString(row.b), Prev: Hash{}.String(), Name: row.name})
	}
	return vectorFile{
		about: "Batches. good: hex is the batch, chained to prev, batch what it says; the whole ones are one device's, in order. " +
			"bad: hex must be refused, either for itself or for not following prev. notWhole: a partial batch where a whole one is needed.",
		lists: []vectorList{{"good", good}, {"bad", bad}, {"notWhole", notWhole(t)}},
	}
}

func notWhole(t *testing.T) []any {
	b := crafted(mutation(0, 0, "a", 0, 0xc0)).with(func(c *craft) { c.format = 2; c.partial = []byte{0} }).bytes()
	if _, err := DecodeAny(b); err != nil {
		t.Fatal(err)
	}
	_, err := Decode(b)
	return []any{badCase{About: "a device may not push this", Hex: hex.EncodeToString(b), Name: errorName(t, err)}}
}
