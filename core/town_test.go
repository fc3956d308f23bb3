package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

var townRules = change.Map{{Key: "version", Value: 1}, {Key: "conflict", Value: change.Map{
	{Key: "n", Value: "counter"}, {Key: "tags", Value: "set"}, {Key: "text", Value: "text"}, {Key: "top", Value: "max"}}}}

func withVersion(m change.Map, version int) change.Map {
	m = slices.Clone(m)
	m[0].Value = version
	return m
}

// ruled is a world whose collection "c" has field rules, which all devices know.
func ruled(t testing.TB, devices int) (*world, []*node) {
	w := newWorld(t)
	var ns []*node
	for range devices {
		ns = append(ns, w.device())
	}
	ns[0].setRules(townRules)
	w.sync(ns...)
	return w, ns
}

func (n *node) setRules(v any) {
	n.w.t.Helper()
	_, written, err := n.SetRules(n.w.ctx, "c", value(v))
	if err != nil || !written {
		n.w.t.Fatalf("rules: written %v, %v", written, err)
	}
}

func obj(fields ...any) (m change.Map) {
	for i := 0; i < len(fields); i += 2 {
		m = append(m, change.Field{Key: fields[i].(string), Value: fields[i+1]})
	}
	return m
}

// field is a field of what is shown.
func (n *node) field(id, name string) any {
	n.w.t.Helper()
	e, ok, err := n.Get(n.w.ctx, key(id))
	if err != nil || !ok {
		return nil
	}
	v, err := change.DecodeValue(e.Value)
	if err != nil {
		n.w.t.Fatal(err)
	}
	m, _ := v.(change.Map)
	for _, f := range m {
		if f.Key == name {
			return f.Value
		}
	}
	return nil
}

func (n *node) wantField(id, name string, want any) {
	n.w.t.Helper()
	if got := n.field(id, name); fmt.Sprint(got) != fmt.Sprint(want) {
		n.w.t.Fatalf("%s.%s is %v, want %v", id, name, got, want)
	}
}

func (n *node) number(id string) int64 {
	var got int64
	fmt.Sscan(fmt.Sprint(n.field(id, "n")), &got)
	return got
}

// plus adds to what is shown.
func (n *node) plus(id string, by int64) change.Version {
	n.w.t.Helper()
	return n.put(id, obj("n", n.number(id)+by))
}

// objectRows are the rows of objects, bit for bit.
func (n *node) objectRows() (out []string) {
	n.w.t.Helper()
	snap := n.tables.Snapshot()
	defer snap.Release()
	for kv, err := range snap.Scan(n.w.ctx, tableObjects, "", "", false) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%q %x", kv.Key, kv.Value))
	}
	return out
}

// same fails where a device that has nothing unsent has other rows than the hub.
func (w *world) same(ns ...*node) {
	w.t.Helper()
	for i, n := range ns {
		if got, want := n.objectRows(), w.hub.objectRows(); !slices.Equal(got, want) {
			w.t.Fatalf("device %d has\n%s\nand the hub\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got, want := n.Rules("c"), w.hub.Rules("c"); string(got.Encode()) != string(want.Encode()) {
			w.t.Fatalf("device %d has rules %+v in force, and the hub %+v", i, got, want)
		}
	}
}

func (w *world) checkAll(ns ...*node) {
	w.t.Helper()
	w.hub.check()
	for _, n := range ns {
		n.check()
	}
}
