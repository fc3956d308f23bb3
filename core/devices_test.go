package core

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"vsync/core/change"
)

// A device belongs to the first subject that is named with it, for ever.
func TestClaim(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	d := a.State().Device
	claims := func(subject string, want Code) {
		t.Helper()
		before := w.hub.State().Commit
		err := w.hub.Claim(w.ctx, d, subject)
		if codeOf(err) != want || want == "" && err != nil {
			t.Fatalf("%.20q: %v, want %q", subject, err, want)
		}
		if want != "" && w.hub.State().Commit != before {
			t.Fatal("what was refused was stored")
		}
	}
	claims("", "")
	claims(strings.Repeat("x", 513), Invalid)
	claims("\xff", Invalid)
	a.put("x", "1") // it may have written before it belongs to anybody
	w.sync(a)
	claims("anna", "")
	for round := range 4 {
		claims("anna", "")
		claims("", Forbidden)
		claims("bert", Forbidden)
		claims(strings.Repeat("x", 513), Forbidden)
		a.put("x", fmt.Sprint(round))
		w.sync(a)
		if round == 2 {
			if err := w.hub.Checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.hub.crash()
		w.hub.refolded()
	}
	rec, err := readDevice(w.ctx, w.hub.tables, d)
	if err != nil || rec.Subject != "anna" || rec.Last != a.State().LastGen {
		t.Fatalf("%+v %v", rec, err)
	}
	if err := a.Claim(w.ctx, d, "anna"); codeOf(err) != Invalid {
		t.Fatal(err)
	}
}

// Of many who name themselves at once, one is the first.
func TestClaimsAtOnce(t *testing.T) {
	w := newWorld(t)
	hub := w.start(&node{w: w, st: w.hub.st.Clone(), role: RoleHub, real: true})
	var wait sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wait.Go(func() { errs[i] = hub.Claim(w.ctx, change.DeviceID{1}, fmt.Sprint("subject ", i)) })
	}
	wait.Wait()
	rec, err := readDevice(w.ctx, hub.tables, change.DeviceID{1})
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if mine := rec.Subject == fmt.Sprint("subject ", i); mine != (err == nil) || !mine && codeOf(err) != Forbidden {
			t.Errorf("subject %d: %v, and the device belongs to %s", i, err, rec.Subject)
		}
	}
	if hub.State().Commit == 0 {
		t.Error("nothing was stored")
	}
}
