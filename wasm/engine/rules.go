package engine

import (
	"bytes"
	"cmp"
	"context"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/order"
	"vsync/core/watcher"
	"vsync/wasm/port"
)

// What pages say of their collections is written when the hub's own is known, so that of two devices the one that is behind writes
// nothing:
//
//	HELLO ─▶ ruled: what differs between pages is refused ─▶ live ─▶ higher than what is in force? ─▶ SetRules

// ruled are the rules that pages have opened a database with: canonical, by collection.
type ruled map[string][]byte

// readRules reads the rules of a HELLO; wrong is what its page is told.
func readRules(r *port.Reader, wrong *error) ruled {
	out := ruled{}
	for range r.Map() {
		name, value := r.Str(), r.Bin()
		if r.Err() != nil {
			break
		}
		rules, err := core.CanonicalRules(name, value)
		if err != nil {
			*wrong = err
			continue
		}
		out[name] = rules
	}
	return out
}

// differs says for which collection a second page has other rules.
func (rs ruled) differs(other ruled) error {
	for _, name := range order.Keys(other) {
		if is := rs[name]; is != nil && !bytes.Equal(is, other[name]) {
			return fail(core.Invalid, "another tab has opened the database with the rules %s for the collection %q, and this one has %s: give all tabs the same, or close the older ones first",
				rulesText(is), name, rulesText(other[name]))
		}
	}
	return nil
}

func rulesText(rules []byte) string {
	text, err := change.ToJSON(rules)
	if err != nil {
		return "?"
	}
	return string(text)
}

// adopt takes up what a page says of collections that no other page has spoken of.
func (db *database) adopt(rs ruled) {
	db.mu.Lock()
	for name, rules := range rs {
		if db.opt.rules[name] == nil {
			db.opt.rules[name] = rules
			db.unruled = append(db.unruled, name)
		}
	}
	news := len(db.unruled) > 0
	if news && db.ruling == nil {
		db.ruling = make(chan struct{})
	}
	db.mu.Unlock()
	if news && db.raise != nil {
		select {
		case db.raise <- struct{}{}:
		default:
		}
	}
}

// writeRules writes rules whenever there are some to write and the hub's are known, until the database is closed.
func (db *database) writeRules() {
	nudge := func(s watcher.Status) {
		if s.Phase != watcher.PhaseLive {
			return
		}
		select {
		case db.raise <- struct{}{}:
		default:
		}
	}
	defer db.watcher.Subscribe(nudge)()
	nudge(db.watcher.Status())
	for {
		select {
		case <-db.raise:
		case <-db.ctx.Done():
			return
		}
		if db.watcher.Status().Phase != watcher.PhaseLive {
			continue
		}
		db.mu.Lock()
		names := db.unruled
		db.unruled = nil
		db.mu.Unlock()
		order.By(names, cmp.Compare)
		for _, name := range names {
			if err := db.writeRule(name); err != nil {
				db.board.complain(err)
			}
		}
		db.mu.Lock()
		if db.ruling != nil && len(db.unruled) == 0 { // else a page has come with more of them meanwhile
			close(db.ruling)
			db.ruling = nil
		}
		db.mu.Unlock()
	}
}

// ruledBy waits until the rules that pages have opened with are written, or found needless.
func (db *database) ruledBy(ctx context.Context) error {
	db.mu.Lock()
	done := db.ruling
	db.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeRule writes the rules of a collection, unless the hub refused that already, and nobody has dismissed it.
func (db *database) writeRule(name string) error {
	problems, err := db.replica.Problems(db.ctx)
	if err != nil {
		return err
	}
	for i := range problems {
		for _, op := range problems[i].Ops {
			if op.Key == (change.Key{Collection: change.RulesCollection, ID: name}) {
				return nil
			}
		}
	}
	db.mu.Lock()
	rules := db.opt.rules[name]
	db.mu.Unlock()
	_, _, err = db.replica.SetRules(db.ctx, name, rules)
	return err
}
