package change

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// seed adds what stands under one of the fields of the cases in a file of core/vectors.
func seed(f *testing.F, file string, fields ...string) {
	f.Helper()
	raw, err := os.ReadFile(vectorPath(file))
	if err != nil {
		f.Fatal(err)
	}
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(raw, &lists); err != nil {
		f.Fatal(err)
	}
	for _, list := range lists {
		var cases []map[string]json.RawMessage
		if json.Unmarshal(list, &cases) != nil {
			continue
		}
		for _, c := range cases {
			for _, field := range fields {
				addSeed(f, c[field], field == "hex")
			}
		}
	}
}

func addSeed(f *testing.F, raw json.RawMessage, isHex bool) {
	f.Helper()
	var text string
	if raw == nil {
		return
	}
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	b := []byte(text)
	if isHex {
		var err error
		if b, err = hex.DecodeString(text); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b)
}

func FuzzValue(f *testing.F) {
	seed(f, "values.json", "hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckValue(b) == nil {
			checkRoundTrip(t, b)
		}
	})
}

func FuzzJSON(f *testing.F) {
	seed(f, "values.json", "json")
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := FromJSON(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		checkRoundTrip(t, b)
	})
}

func FuzzBatch(f *testing.F) {
	seed(f, "batches.json", "hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, err := DecodeHeader(b)
		trusted, errTrusted := DecodeTrusted(b)
		if errTrusted == nil && err != nil {
			t.Fatalf("the fast path takes what has no header: %v", err)
		}
		if errTrusted == nil {
			trusted.Partial(func(m Mutation) bool { return m.Index%2 == 0 })
		}
		d, err := DecodeAny(b)
		if err != nil {
			return
		}
		if errTrusted != nil {
			t.Fatalf("the fast path refuses what is right: %v", errTrusted)
		}
		if again := d.Partial(func(Mutation) bool { return true }); !bytes.Equal(again, b) {
			t.Fatalf("%x\nbecame %x", b, again)
		}
		// Encoded from its content alone, with the hash that this chain gives it, it is the same.
		if d.IsPartial {
			return
		}
		fresh := &Batch{Header: Header{Device: h.Device, Gen: h.Gen, Stamp: h.Stamp, Nonce: h.Nonce, Note: h.Note}, Mutations: d.Mutations}
		again, err := fresh.Encode(Hash{})
		if err != nil {
			t.Fatal(err)
		}
		d.Hash = d.Chain(Hash{})
		if want := d.Partial(func(Mutation) bool { return true }); !bytes.Equal(again, want) {
			t.Fatalf("%x\nwas encoded as %x", want, again)
		}
	})
}

func FuzzEntry(f *testing.F) {
	seed(f, "entries.json", "hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		whole, batch, wholeErr := DecodeEntryBatch(b)
		if err != nil {
			if wholeErr == nil {
				t.Fatalf("%x is an entry with its batch, and none without: %v", b, err)
			}
			return
		}
		if wholeErr == nil && (!reflect.DeepEqual(whole, e) || (batch != nil) != (e.Kind == EntryBatch)) {
			t.Fatalf("%+v with its batch, %+v without", whole, e)
		}
		if kind, ann, mac, body, ok := CutEntry(b); !ok || kind != e.Kind || !bytes.Equal(ann, e.Annotation.Encode()) || mac != e.MAC || !bytes.Equal(body, e.Body) {
			t.Fatalf("%x is cut differently than it is decoded", b)
		}
		if v, ok := PeekVersion(e.Body); e.Kind == EntryBatch && (!ok || v != e.Version) {
			t.Fatalf("%v is seen of %v", v, e.Version)
		}
		e.FeedHash(Hash{})
		if e.VerifyMAC([]byte("a key that no vector has"), Lineage{}) == nil {
			t.Fatal("a MAC by a key that nobody used")
		}
		if e.Kind == EntryBatch {
			again, err := e.Batch()
			if err == nil && again.Version() != e.Version {
				t.Fatal("the entry names another batch")
			}
			if (err == nil) != (wholeErr == nil) {
				t.Fatalf("its batch: %v alone, %v with the entry", err, wholeErr)
			}
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x\nbecame %x, %v", b, again, err)
		}
	})
}

func FuzzMarker(f *testing.F) {
	seed(f, "keys.json", "hex", "text")
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeMarker(b); err == nil && !bytes.Equal(m.Encode(), b) {
			t.Fatalf("marker %x became %x", b, m.Encode())
		}
		if m, err := ParseMarker(string(b)); err == nil && m.String() != string(b) {
			t.Fatalf("marker %q became %q", b, m)
		}
		if k, err := DecodeKey(b); err == nil && !bytes.Equal(k.Encode(), b) {
			t.Fatalf("key %x became %x", b, k.Encode())
		}
		if v, err := ParseVersion(string(b)); err == nil && v.String() != string(b) {
			t.Fatalf("version %q became %q", b, v)
		}
	})
}
