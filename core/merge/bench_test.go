package merge

import (
	"strings"
	"testing"

	"vsync/core/change"
)

// The document of the other benchmarks, 190 bytes or so, in three rules' hands; the plain encode beside it is what a put costs anyway.
func benchDocument(n int, title string, tags ...any) change.Map {
	return change.Map{{Key: "id", Value: "customer-000123"}, {Key: "title", Value: title}, {Key: "n", Value: n}, {Key: "done", Value: false},
		{Key: "tags", Value: tags}, {Key: "price", Value: 12.75}, {Key: "address", Value: change.Map{{Key: "city", Value: "Zürich"},
			{Key: "street", Value: "Bahnhofstrasse 12"}, {Key: "zip", Value: 8001}}}, {Key: "note", Value: strings.Repeat("lorem ", 8)}}
}

const benchRules = `{"n":"counter","tags":"set","title":"text"}`

func BenchmarkPlain(b *testing.B) {
	m := benchDocument(1, "a plain title", "x", "y")
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := change.Encode(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	value := encoded(b, m)
	b.Run("check", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			if err := change.CheckValue(value); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchCases(b *testing.B) map[string][]byte {
	return map[string][]byte{
		"same":    encoded(b, benchDocument(1, "a plain title", "x", "y")),
		"counter": encoded(b, benchDocument(2, "a plain title", "x", "y")),
		"set":     encoded(b, benchDocument(1, "a plain title", "x", "z")),
		"text":    encoded(b, benchDocument(1, "a plainer title", "x", "y")),
		"all":     encoded(b, benchDocument(2, "a plainer title", "x", "z")),
	}
}

func BenchmarkDiff(b *testing.B) {
	r := rulesOf(b, benchRules)
	now := born(version('a', 1), encoded(b, benchDocument(1, "a plain title", "x", "y")))
	for name, value := range benchCases(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Diff(now.Value, now, value)
			}
			b.ReportMetric(float64(len(r.Diff(now.Value, now, value))), "bytes")
		})
	}
}

func BenchmarkApply(b *testing.B) {
	r := rulesOf(b, benchRules)
	now := born(version('a', 1), encoded(b, benchDocument(1, "a plain title", "x", "y")))
	for name, value := range benchCases(b) {
		w := Write{version('b', 1), r.Diff(now.Value, now, value), value}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Apply(now, w)
			}
			b.ReportMetric(float64(len(r.Apply(now, w).Marks)), "marks")
		})
	}
}

// A text of 2,000 lines, of which one is changed.
func BenchmarkText(b *testing.B) {
	r := rulesOf(b, `{"*":"text"}`)
	lines := strings.Split(strings.Repeat("a line of some length\n", 2000), "\n")
	old := encoded(b, strings.Join(lines, "\n"))
	lines[1000] = "another line"
	value := encoded(b, strings.Join(lines, "\n"))
	now := born(version('a', 1), old)
	w := Write{version('b', 1), r.Diff(old, now, value), value}
	b.Run("diff", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			r.Diff(old, now, value)
		}
	})
	b.Run("apply", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			r.Apply(now, w)
		}
	})
}
