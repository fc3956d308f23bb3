//go:build !provoke

package main

// Nothing is provoked: see provoke_js.go.
func provoke(string) {}

func provokedBy([]byte) {}
