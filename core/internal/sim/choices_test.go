package sim

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestAHistoryIsWhatWasDrawn: what a seed draws can be written down, read, and lived again, event by event.
func TestAHistoryIsWhatWasDrawn(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		h, failure := Record(seed)
		if failure != nil {
			t.Fatal(failure)
		}
		text := h.String()
		back, err := ParseHistory("# a comment\n" + text)
		if err != nil {
			t.Fatal(err)
		}
		if back.String() != text {
			t.Errorf("seed %d: written\n%s\nand read\n%s", seed, text, back)
		}
		a, b := newSim(seed, true), newSim(seed, true)
		a.plan = a.draw()
		b.plan, b.rnd = back.plan, back.choices()
		a.run()
		b.run()
		if !slices.Equal(a.events, b.events) {
			t.Errorf("seed %d: two histories:\n%s\n--\n%s", seed, strings.Join(a.events, "\n"), strings.Join(b.events, "\n"))
		}
	}
}

func TestHistoriesThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "plan devices=2\n", "heal\n", "plan devices=x\nheal\n", "plan dogs=2\nheal\n", "seed x\nplan devices=1\nheal\n"} {
		if h, err := ParseHistory(text); err == nil {
			t.Errorf("%q gave %v", text, h)
		}
	}
}

// Every part of a plan has a name in stored histories.
func TestAPlanIsWritten(t *testing.T) {
	var p plan
	if got, want := len(p.fields()), reflect.TypeOf(p).NumField(); got != want {
		t.Errorf("%d fields are written, of %d", got, want)
	}
	for i, f := range p.fields() {
		f.set(2*(i+1) + 1)
		back, err := parsePlan(p.String())
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%s: %+v came back as %+v, %v", f.name, p, back, err)
		}
	}
}

// TestShrink: of a long history in which something fails that needs two steps, these two are left.
func TestShrink(t *testing.T) {
	h, failure := Record(4)
	if failure != nil {
		t.Fatal(failure)
	}
	h.extra = func(s *Sim) []action {
		n := 0
		return []action{{"broken", 0, func() {
			if n++; n == 2 {
				s.fail("broken twice")
			}
		}}}
	}
	h.steps = slices.Insert(h.steps, 30, parseLine("broken 3 7"))
	h.steps = slices.Insert(h.steps, 90, parseLine("broken 9 8 7"))
	_, failure = h.Run(false)
	if failure == nil || failure.Promise != "broken twice" {
		t.Fatalf("the history does not fail as it should: %v", failure)
	}
	short, failure := Shrink(h, failure.Promise, 1000)
	if failure == nil || failure.Promise != "broken twice" {
		t.Fatalf("what was shrunk fails otherwise: %v", failure)
	}
	if got := short.String(); !strings.Contains(got, "begin\nbroken\nbroken\nheal\n") {
		t.Errorf("what is left is not short:\n%s", got)
	}
}
