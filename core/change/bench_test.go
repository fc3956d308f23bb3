package change

import (
	"fmt"
	"testing"
)

// benchDocument is a document of about 200 bytes, as applications have them.
func benchDocument(tb testing.TB, i int) []byte {
	return mustEncode(tb, Map{
		{"name", fmt.Sprintf("Sankt Gallen %d", i)}, {"country", "CH"}, {"lat", 47.42391}, {"lng", 9.37477}, {"population", 75833 + i},
		{"tags", []any{"city", "canton", "abbey"}}, {"open", true}, {"updated", nil},
		{"text", "The abbey district and its library are a world heritage site since 1983."},
	})
}

func benchBatch(tb testing.TB, n int) *Batch {
	b := &Batch{Header: Header{Device: device(1), Gen: 1000, Stamp: 1767322984678, Nonce: Nonce{[8]byte{1}, 5}}}
	for i := range n {
		b.Mutations = append(b.Mutations, Mutation{Key: Key{"cities", fmt.Sprintf("%08d", i)}, Value: benchDocument(tb, i),
			Parents: []Version{{device(2), Generation(i + 1)}}})
	}
	return b
}

func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1, 1000} {
		batch := benchBatch(b, n)
		raw, err := batch.Encode(Hash{})
		if err != nil {
			b.Fatal(err)
		}
		run := func(name string, f func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/mutation")
			})
		}
		buf := make([]byte, 0, len(raw))
		run("Append", func() error { _, err := batch.Append(buf, Hash{}); return err })
		run("Decode", func() error { _, err := Decode(raw); return err })
		run("DecodeTrusted", func() error { _, err := DecodeTrusted(raw); return err })
		run("Walk", func() error { _, err := Walk(raw, func(Mutation) bool { return true }); return err })
		run("Partial", func() error { batch.Partial(func(m Mutation) bool { return m.Index%2 == 1 }); return nil })
	}
}

func BenchmarkCheckValue(b *testing.B) {
	doc := benchDocument(b, 1)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckValue(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntry(b *testing.B) {
	batch := benchBatch(b, 1)
	raw, err := batch.Encode(Hash{})
	if err != nil {
		b.Fatal(err)
	}
	e := NewBatchEntry(&batch.Header, raw, Annotation{Accepted: 1767322984700})
	b.Run("Seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Seal(vectorKey, vectorLineage)
		}
	})
	entry, err := e.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeEntry(entry); err != nil {
				b.Fatal(err)
			}
		}
	})
}
