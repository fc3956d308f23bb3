package wire

import (
	"fmt"
	"testing"

	"vsync/core/change"
)

func benchChanges(n int) *Changes {
	m := &Changes{Seq: 1_000_000, Hash: change.Hash{1}}
	for i := range n {
		m.Entries = append(m.Entries, block(200, byte(i)))
	}
	return m
}

func BenchmarkEncodeChanges(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := benchChanges(n)
			buf := mustAppend(b, m)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Append(buf[:0], m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeChanges(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			frame := mustAppend(b, benchChanges(n))
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeDown(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSplitAndJoinTheLargestBatch(b *testing.B) {
	batches := [][]byte{block(change.MaxBatch, 1)}
	b.SetBytes(change.MaxBatch)
	b.ReportAllocs()
	for b.Loop() {
		var j Joiner
		for m := range SplitPush(1, batches, FrameBudget) {
			if _, err := j.Join(m); err != nil {
				b.Fatal(err)
			}
		}
	}
}
