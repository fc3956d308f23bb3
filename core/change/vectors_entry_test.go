package change

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

var (
	vectorKey     = []byte("a key of the hub, kept elsewhere")
	vectorLineage = Lineage(device(0x77))
)

type entryJSON struct {
	Kind       string         `json:"kind"`
	Version    string         `json:"version"`
	Hash       string         `json:"hash"`
	MAC        string         `json:"mac"`
	Annotation annotationJSON `json:"annotation"`
	Body       string         `json:"body"`
}

type annotationJSON struct {
	Accepted uint64         `json:"accepted"`
	Stamp    uint64         `json:"stamp,omitempty"`
	EParents []eparentsJSON `json:"eparents,omitempty"`
	Reason   *reasonJSON    `json:"reason,omitempty"`
}

type eparentsJSON struct {
	Index   int      `json:"index"`
	Parents []string `json:"parents"`
}

type reasonJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type goodEntry struct {
	About string    `json:"about"`
	Hex   string    `json:"hex"`
	Prev  string    `json:"prev"`
	Feed  string    `json:"feed"`
	Entry entryJSON `json:"entry"`
}

func describeEntry(e *Entry) entryJSON {
	j := entryJSON{Kind: e.Kind.String(), Version: e.Version.String(), Hash: e.Hash.String(), MAC: e.MAC.String(), Body: hex.EncodeToString(e.Body)}
	j.Annotation = annotationJSON{Accepted: e.Annotation.Accepted, Stamp: e.Annotation.Stamp}
	for _, p := range e.Annotation.EParents {
		j.Annotation.EParents = append(j.Annotation.EParents, eparentsJSON{p.Index, versionTexts(p.Parents)})
	}
	if r := e.Annotation.Reason; r != nil {
		j.Annotation.Reason = &reasonJSON{r.Code, r.Message}
	}
	return j
}

type sampleEntry struct {
	about string
	e     *Entry
}

// sampleEntries returns a feed: whole and partial batches with all annotations, and voids.
func sampleEntries(t testing.TB) []sampleEntry {
	t.Helper()
	var prev Hash
	anns := []Annotation{
		{Accepted: 1767322984700},
		{Accepted: 1767322985000, Stamp: 1767322985001, EParents: []EParents{{0, []Version{{device(0x22), 7}, {device(0x22), 8}}}, {2, nil}}},
		{Accepted: 1767322985000, Stamp: 1767322990000},
		{Accepted: 0, Stamp: 5},
	}
	var list []sampleEntry
	for i, row := range sampleBatches(t) {
		b, err := row.b.Encode(prev)
		if err != nil {
			t.Fatal(err)
		}
		prev = row.b.Hash
		list = append(list, sampleEntry{row.about, NewBatchEntry(&row.b.Header, b, anns[i])})
		if row.b.Count > 1 {
			part := row.b.Partial(func(m Mutation) bool { return m.Index == 1 })
			list = append(list, sampleEntry{row.about + ", partial", NewBatchEntry(&row.b.Header, part, anns[i])})
		}
	}
	v := Version{device(0x22), 300}
	return append(list,
		sampleEntry{"a void", NewVoidEntry(v, Hash(device(9)), Annotation{Accepted: 1767322986000, Reason: &Reason{"FORBIDDEN", "Kein Recht für „cities“"}})},
		sampleEntry{"a void without message", NewVoidEntry(v, Hash{}, Annotation{Reason: &Reason{"INVALID", ""}})},
		sampleEntry{"lost, with a hash", NewLostEntry(v, Hash(device(9)), 1767322987000, Hash{})},
		sampleEntry{"lost, the last of them", NewLostEntry(v, Hash{}, 0, Hash(device(8)))})
}

func entryVectors(t *testing.T) vectorFile {
	var good, bad []any
	var feed Hash
	sealer := NewSealer(vectorKey, vectorLineage)
	for _, row := range sampleEntries(t) {
		row.e.Seal(vectorKey, vectorLineage)
		b, err := row.e.Encode()
		if err != nil {
			t.Fatalf("%s: %v", row.about, err)
		}
		d, err := DecodeEntry(b)
		if err != nil || !reflect.DeepEqual(d, row.e) {
			t.Fatalf("%s: encoded %+v, decoded %+v, %v", row.about, row.e, d, err)
		}
		if err := d.VerifyMAC(vectorKey, vectorLineage); err != nil {
			t.Fatalf("%s: %v", row.about, err)
		}
		d.MAC = Hash{}
		if sealer.Seal(d); d.MAC != row.e.MAC {
			t.Fatalf("%s: a sealer gives %v, Seal %v", row.about, d.MAC, row.e.MAC)
		}
		next := d.FeedHash(feed)
		good = append(good, goodEntry{row.about, hex.EncodeToString(b), feed.String(), next.String(), describeEntry(d)})
		feed = next
	}
	for _, row := range badEntries(t) {
		d, err := DecodeEntry(row.b)
		if err == nil {
			err = d.VerifyMAC(vectorKey, vectorLineage)
		}
		if err == nil {
			t.Fatalf("%s: accepted", row.about)
		}
		if name := errorName(t, err); name != row.name {
			t.Fatalf("%s: got %q (%v), want %q", row.about, name, err, row.name)
		}
		bad = append(bad, badCase{About: row.about, Hex: hex.EncodeToString(row.b), Name: row.name})
	}
	return vectorFile{
		about: "Feed entries. seal: the hub's key and lineage behind all MACs. good: hex is the entry, entry what it says; they are one feed, " +
			"prev and feed are its running hash before and after. bad: hex must be refused, either for itself or for its MAC.",
		lists: []vectorList{
			{"seal", []any{map[string]string{"key": hex.EncodeToString(vectorKey), "lineage": vectorLineage.String()}}},
			{"good", good}, {"bad", bad}},
	}
}

type badEntry struct {
	about, name string
	b           []byte
}

func badEntries(t *testing.T) []badEntry {
	header := Header{Device: device(1), Gen: 2, Stamp: 9}
	batch := crafted(mutation(0, 0, "a", 0, 0xc0)).bytes()
	d1 := bytes.Repeat([]byte{1}, 16)
	d2 := bytes.Repeat([]byte{2}, 16)
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	entry := func(kind byte, ann []byte, body []byte) []byte {
		return cat([]byte{1, kind, byte(len(ann))}, ann, make([]byte, 16), body)
	}
	void := cat(d1, []byte{5}, d2)
	reason := []byte{4, 9, 1, 'X', 0}
	sealed := NewBatchEntry(&header, batch, Annotation{Accepted: 5})
	sealed.Hash = Hash(batch[len(batch)-7-16:])
	return []badEntry{
		{"nothing", "truncated", nil},
		{"format 2", "unknown_format", []byte{2, 1}},
		{"kind 4", "reserved", entry(4, []byte{0, 0}, batch)},
		{"kind 0", "reserved", entry(0, []byte{0, 0}, batch)},
		{"no MAC", "truncated", []byte{1, 1, 2, 0, 0, 1, 2}},
		{"annotation length in two bytes", "not_minimal", []byte{1, 1, 0x82, 0, 0, 0}},
		{"annotation too large", "too_large", []byte{1, 1, 0x81, 0x80, 0x80, 2}},
		{"annotation empty", "truncated", entry(1, nil, batch)},
		{"annotation with bytes after", "trailing", entry(1, []byte{0, 5, 0}, batch)},
		{"annotation flag bit 3", "reserved", entry(1, []byte{8, 5}, batch)},
		{"effective stamp 0", "too_small", entry(1, []byte{1, 5, 0}, batch)},
		{"effective stamp is the batch's own", "not_minimal", entry(1, []byte{1, 5, 9}, batch)},
		{"no effective parents", "not_minimal", entry(1, []byte{2, 5, 0}, batch)},
		{"effective parents of mutation 1 of 1", "index", entry(1, []byte{2, 5, 1, 1, 0}, batch)},
		{"effective parents of mutation 20000", "too_large", entry(1, []byte{2, 5, 1, 0xa0, 0x9c, 1, 0}, batch)},
		{"effective parents out of order", "order", entry(1, []byte{2, 5, 2, 1, 0, 0, 0}, batch)},
		{"effective parents descending", "order", entry(1, cat([]byte{2, 5, 1, 0, 2}, d2, []byte{1}, d1, []byte{1}), batch)},
		{"effective parent zero", "too_small", entry(1, cat([]byte{2, 5, 1, 0, 1}, make([]byte, 16), []byte{1}), batch)},
		{"more effective parents than bytes", "truncated", entry(1, []byte{2, 5, 0xff, 0x7f}, batch)},
		{"reason for a batch", "annotation", entry(1, reason, batch)},
		{"reason code empty", "text", entry(2, []byte{4, 9, 0, 0}, void)},
		{"reason code in small letters", "text", entry(2, []byte{4, 9, 1, 'x', 0}, void)},
		{"reason message not UTF-8", "not_utf8", entry(2, []byte{4, 9, 1, 'X', 1, 0xff}, void)},
		{"void without reason", "annotation", entry(2, []byte{0, 9}, void)},
		{"void with a stamp", "annotation", entry(2, []byte{5, 9, 3, 1, 'X', 0}, void)},
		{"void with effective parents", "annotation", entry(2, []byte{6, 9, 1, 0, 0, 1, 'X', 0}, void)},
		{"void cut short", "truncated", entry(2, reason, void[:20])},
		{"void with bytes after", "trailing", entry(2, reason, cat(void, []byte{0}))},
		{"void of device zero", "too_small", entry(2, reason, cat(make([]byte, 16), []byte{1}, d1))},
		{"void of generation 0", "too_small", entry(2, reason, cat(d1, []byte{0}, d2))},
		{"no batch", "truncated", entry(1, []byte{0, 5}, nil)},
		{"batch of another format", "unknown_format", entry(1, []byte{0, 5}, []byte{7})},
		{"not sealed", "mac", entry(1, []byte{0, 5}, batch)},
		{"sealed for another lineage", "mac", sealedFor(t, sealed, vectorKey, Lineage(device(0x78)))},
		{"sealed by another key", "mac", sealedFor(t, sealed, []byte("another"), vectorLineage)},
	}
}

func sealedFor(t *testing.T, e *Entry, key []byte, lineage Lineage) []byte {
	t.Helper()
	e.Seal(key, lineage)
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every field that the MAC covers changes it, and the running hash, too.
func TestMACCoversEntry(t *testing.T) {
	fresh := func() *Entry {
		return NewVoidEntry(Version{device(1), 2}, Hash(device(3)), Annotation{Accepted: 4, Reason: &Reason{"X", "y"}})
	}
	e := fresh()
	e.Seal(vectorKey, vectorLineage)
	if err := e.VerifyMAC(vectorKey, vectorLineage); err != nil {
		t.Fatal(err)
	}
	feed := e.FeedHash(Hash{})
	for name, change := range map[string]func(*Entry){
		"kind":     func(e *Entry) { e.Kind = EntryBatch },
		"accepted": func(e *Entry) { e.Annotation.Accepted++ },
		"reason":   func(e *Entry) { e.Annotation.Reason.Message = "z" },
		"device":   func(e *Entry) { e.Version.Device = device(2) },
		"gen":      func(e *Entry) { e.Version.Gen++ },
		"hash":     func(e *Entry) { e.Hash[15]++ },
	} {
		f := fresh()
		f.MAC = e.MAC
		change(f)
		if err := f.VerifyMAC(vectorKey, vectorLineage); !errors.Is(err, ErrMAC) {
			t.Errorf("%s changed: %v", name, err)
		}
		if f.FeedHash(Hash{}) == feed {
			t.Errorf("%s changed, the running hash did not", name)
		}
	}
	if e.FeedHash(feed) == feed {
		t.Error("the running hash does not depend on the one before")
	}
}

func TestEntryRefusesToWrite(t *testing.T) {
	long := make([]Version, MaxParents+1)
	for i := range long {
		long[i] = Version{device(1), Generation(i + 1)}
	}
	for name, c := range map[string]struct {
		ann  Annotation
		want error
	}{
		"message too long": {Annotation{Reason: &Reason{"X", string(make([]byte, MaxReasonMessage+1))}}, ErrTooLarge},
		"code too long":    {Annotation{Reason: &Reason{string(bytes.Repeat([]byte("X"), MaxReasonCode+1)), ""}}, ErrTooLarge},
		"code empty":       {Annotation{Reason: &Reason{}}, ErrText},
		"accepted":         {Annotation{Accepted: MaxNumber + 1}, ErrTooLarge},
		"65 parents":       {Annotation{EParents: []EParents{{0, long}}}, ErrTooLarge},
	} {
		got, err := NewVoidEntry(Version{device(1), 1}, Hash{}, c.ann).Append([]byte("as it was"))
		if !errors.Is(err, c.want) || string(got) != "as it was" {
			t.Errorf("%s: %q, %v, want %v", name, got, err, c.want)
		}
	}
}

func TestEffective(t *testing.T) {
	own := []Version{{device(1), 1}}
	hubs := []Version{{device(2), 1}}
	a := Annotation{EParents: []EParents{{1, hubs}, {4, nil}}}
	for index, want := range [][]Version{own, hubs, own, own, nil, own} {
		if got := a.EffectiveParents(&Mutation{Index: index, Parents: own}); !reflect.DeepEqual(got, want) {
			t.Errorf("mutation %d: %v, want %v", index, got, want)
		}
	}
	if got := a.EffectiveStamp(&Header{Stamp: 7}); got != 7 {
		t.Errorf("own stamp: %d", got)
	}
	a.Stamp = 5
	if got := a.EffectiveStamp(&Header{Stamp: 7}); got != 5 {
		t.Errorf("effective stamp: %d", got)
	}
	if e := NewBatchEntry(&Header{Stamp: 5}, nil, a); e.Annotation.Stamp != 0 {
		t.Error("an effective stamp that is the batch's own was kept")
	}
}
