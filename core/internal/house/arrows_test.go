//go:build !js

package house

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// arrows lists the families of packages and what each may import directly. A package belongs to the
// family with the longest name that is its path or begins it; within a family all is free, since Go
// itself refuses cycles. Tests may import what they like.
//
//	change, store ← pages, dag, changelog, objects, device, wire ← core ← watcher ← wasm, edge ← hosts
var arrows = map[string][]string{
	"core/fmt":       {},
	"core/order":     {},
	"core/digest":    {},
	"core/change":    {"core/store", "core/fmt", "core/order", "core/digest"},
	"core/store":     {"core/change", "core/fmt", "core/order"},
	"core/vectors":   {"core/change", "core/store"},
	"core/pages":     structures,
	"core/dag":       {"core/change", "core/fmt", "core/order"},
	"core/changelog": structures,
	"core/objects":   {"core/change", "core/dag", "core/fmt", "core/order"},
	"core/device":    {"core/change", "core/fmt", "core/order", "core/digest"},
	"core/merge":     {"core/change", "core/fmt", "core/order"},
	"core/wire":      structures,
	"core":           append([]string{"core/vectors", "core/merge"}, structures...),
	"core/watcher":   append([]string{"core"}, structures...),

	"wasm": replica,
	"edge": replica,
	"web":  {},

	"edge/host":   append([]string{"edge", "web"}, replica...),
	"edge/worker": append([]string{"edge", "web"}, replica...),

	// Nothing but tests imports these six: they look at the rest from outside.
	"core/scenario":       append([]string{"edge"}, replica...),
	"core/internal/sim":   append([]string{"edge"}, replica...),
	"core/internal/house": {},
	"edge/e2e":            append([]string{"edge", "edge/host", "web"}, replica...),
	"web/browser":         {"wasm", "edge", "core/wire"},
	"web/e2e":             append([]string{"web/browser", "edge", "edge/e2e", "edge/host", "web"}, replica...),
}

var structures = []string{
	"core/fmt", "core/order", "core/digest", "core/change", "core/store", "core/pages", "core/dag", "core/changelog", "core/objects", "core/device", "core/wire",
}

var replica = append([]string{"core", "core/watcher"}, structures...)

// family returns the family that a directory belongs to, "" for none.
func family(dir string) string {
	longest := ""
	for name := range maps.Keys(arrows) {
		if (dir == name || strings.HasPrefix(dir, name+"/")) && len(name) > len(longest) {
			longest = name
		}
	}
	return longest
}

func badArrows(s source) (findings []string) {
	if !s.isGo() || s.isTest() {
		return nil
	}
	from := family(s.dir())
	if from == "" {
		return []string{"no family of packages has a place for " + s.dir()}
	}
	for target := range s.imports() {
		ours, is := strings.CutPrefix(target, module+"/")
		if !is {
			continue
		}
		if to := family(ours); to != from && !slices.Contains(arrows[from], to) {
			findings = append(findings, fmt.Sprintf("%s may not import %s", from, ours))
		}
	}
	return findings
}

func TestArrows(t *testing.T) {
	wants(t, badArrows, "core/change/x.go", `package change; import "vsync/core/objects"`, 1)
	wants(t, badArrows, "core/objects/x.go", `package objects; import "vsync/core/change"`, 0)
	wants(t, badArrows, "core/objects/x.go", `package objects; import "vsync/core"`, 1)
	wants(t, badArrows, "core/objects/x.go", `package objects; import ("vsync/core/dag"; "vsync/core/store")`, 1)
	wants(t, badArrows, "core/merge/x.go", `package merge; import "vsync/core/objects"`, 1)
	wants(t, badArrows, "core/dag/x.go", `package dag; import "vsync/core/objects"`, 1)
	wants(t, badArrows, "core/wire/x.go", `package wire; import "vsync/core/session"`, 1)
	wants(t, badArrows, "core/x.go", `package core; import ("vsync/edge"; "vsync/core/internal/sim")`, 2)
	wants(t, badArrows, "core/x.go", `package core; import "vsync/core/watcher"`, 1)
	wants(t, badArrows, "core/watcher/x.go", `package watcher; import ("vsync/core"; "vsync/core/wire")`, 0)
	wants(t, badArrows, "core/watcher/x.go", `package watcher; import "vsync/edge/clock"`, 1)
	wants(t, badArrows, "core/store/storetest/x.go", `package storetest; import "vsync/core/store"`, 0)
	wants(t, badArrows, "wasm/idb/x.go", `package idb; import "vsync/edge"`, 1)
	wants(t, badArrows, "edge/host/vsync/x.go", `package main; import ("vsync/web"; "vsync/core"; "vsync/edge")`, 0)
	wants(t, badArrows, "web/x.go", `package web; import "vsync/web/browser"`, 1)
	wants(t, badArrows, "web/e2e/x.go", `package e2e; import ("vsync/web/browser"; "vsync/edge/e2e/proxy")`, 0)
	wants(t, badArrows, "edge/x.go", `package edge; import "vsync/edge/host"`, 1)
	wants(t, badArrows, "tools/x.go", `package tools`, 1)
	hold(t, badArrows)
}

func TestEveryArrowEndsInAFamily(t *testing.T) {
	for from, targets := range arrows {
		for _, to := range targets {
			if _, known := arrows[to]; !known {
				t.Errorf("%s may import %s, which is no family", from, to)
			}
		}
	}
}
