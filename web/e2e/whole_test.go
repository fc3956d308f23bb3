package e2e

import "testing"

// TestBatchIsWhole: one device writes the same thousand objects round after round, each round one batch. Whoever looks, on
// that device and on the other, in every way there is, sees all of a round or nothing of it; and the watchers see every one.
func TestBatchIsWhole(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	second := w.open(anna)
	const rounds = 15
	lookers := []*tab{a, second, b}
	for _, p := range lookers {
		p.js(nil, `e2e.wholes = e2e.watchRounds(args[0])`, rounds)
	}
	a.js(nil, `await e2e.writeRounds(args[0])`, rounds)
	for _, p := range lookers {
		var saw struct {
			Wrong                              []string
			Watched, Subscribed, Many, Queried int
		}
		p.js(&saw, `return e2e.wholes`)
		for _, text := range saw.Wrong {
			t.Errorf("%s: %s", p.name, text)
		}
		if saw.Watched != rounds || saw.Subscribed == 0 || saw.Many == 0 || saw.Queried == 0 {
			t.Errorf("%s saw too little, or too much: %+v", p.name, saw)
		}
		t.Logf("%s: %+v", p.name, saw)
	}
}
