package e2e

import (
	"fmt"
	"testing"
	"time"
)

const citiesCount = 171_075

// TestCities: a real file, written by one browser row by row through the SDK, and taken up by the other. Both have the file as it is after
// they were closed and started again, without the hub.
func TestCities(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.visit(anna), w.visit(bert)
	for _, p := range []*tab{a, b} {
		var rows int
		p.js(&rows, `return await e2e.readCities()`)
		if rows != citiesCount {
			t.Fatalf("the real input has %d rows, want %d", rows, citiesCount)
		}
	}
	a.js(nil, `await e2e.open()`)
	var wrote struct{ Stored, Synced, LongestTask int }
	a.js(&wrote, `return await e2e.writeCities()`)
	t.Logf("anna wrote %d rows: stored after %d ms (%.0f rows/s), at the hub after %d ms; longest task of the page over 50 ms: %d ms",
		citiesCount, wrote.Stored, citiesCount/float64(wrote.Stored)*1000, wrote.Synced, wrote.LongestTask)
	stats := w.roads[anna].Stats()
	t.Logf("bytes: %.2f MB up, %.2f MB down", float64(stats.Up)/1e6, float64(stats.Down)/1e6)

	var caught struct{ Live, Count, LongestTask int }
	b.js(&caught, `e2e.longestTask();
		const from = performance.now();
		await e2e.open();
		await e2e.status((s) => s.phase === 'live');
		const live = Math.round(performance.now() - from);
		return { live, count: await e2e.db.collection('cities').count(), longestTask: e2e.longestTask() }`)
	t.Logf("bert has caught up with %d rows after %d ms (%.0f rows/s); longest task of the page over 50 ms: %d ms",
		caught.Count, caught.Live, float64(caught.Count)/float64(caught.Live)*1000, caught.LongestTask)
	stats = w.roads[bert].Stats()
	t.Logf("bytes: %.2f MB up, %.2f MB down", float64(stats.Up)/1e6, float64(stats.Down)/1e6)

	w.hub.Die()
	for _, d := range []*device{anna, bert} {
		d.restart(t)
		p := w.visit(d)
		p.js(nil, `await e2e.readCities()`)
		var opened struct{ Ready, Read int }
		p.js(&opened, `const from = performance.now();
			await e2e.open();
			const ready = performance.now() - from;
			await e2e.db.collection('cities').get('00100000');
			return { ready: Math.round(ready), read: Math.round(performance.now() - from) }`)
		t.Logf("%s, started again: open after %d ms, one row read after %d ms", d.name, opened.Ready, opened.Read)
		compareCities(p)
	}
}

func compareCities(p *tab) {
	p.t.Helper()
	from := time.Now()
	var wrong string
	p.js(&wrong, `return await e2e.compareCities()`)
	if wrong != "" {
		p.t.Errorf("%s: %s", p.name, wrong)
	}
	p.t.Logf("%s has every row as the file has it; reading and comparing all took %v", p.name, fmt.Sprint(time.Since(from).Round(time.Millisecond)))
}
