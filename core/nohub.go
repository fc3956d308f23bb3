//go:build device

package core

import (
	"context"

	"vsync/core/changelog"
)

// A program that is a device and never a hub is smaller without what mends a hub's log.

var errNoHub = errorf(Corrupt, "this program mends no hub's log: use vsync check --hub --repair")

func (r *Replica) mendFeed(context.Context) (bool, error) { return false, nil }

func (r *Replica) fillHoles(context.Context, []changelog.Name, map[changelog.Name]string) error {
	return errNoHub
}

func (r *Replica) rejoin(*stage, []changelog.Record) error { return errNoHub }
