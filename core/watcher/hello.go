package watcher

import (
	"context"

	"vsync/core/change"
	"vsync/core/wire"
)

// sayHello tells the hub who this replica is and what it has (PROTOCOL.md, section 8). What it says
// is kept: the welcome is held against it.
func (s *Session) sayHello(ctx context.Context) {
	have, err := s.replica.Hello(ctx)
	if err != nil {
		s.fail(err)
		return
	}
	if s.cfg.Trail {
		if s.trail, err = s.replica.Trail(ctx); err != nil {
			s.fail(err)
			return
		}
	}
	back := have.Back
	if s.cfg.HandedBack {
		back = s.cfg.Back
	}
	if s.owing = s.cfg.Owing && back != (change.Place{}); s.owing {
		have.Marker.Seq, have.Marker.Hash, back = back.Seq, back.Hash, change.Place{}
	}
	have.Back = back
	s.hello = have
	s.applied = have.Marker.Seq
	s.settled = s.replica.State().ConfirmedGen
	s.send(&wire.Hello{
		Protocol:   wire.Protocol,
		Database:   s.cfg.Database,
		Lineage:    have.Lineage,
		Device:     have.Device,
		Token:      s.cfg.Token,
		Marker:     have.Marker,
		Gen:        have.Base,
		Hash:       have.BaseHash,
		Own:        have.Own,
		LowestHeld: have.Held,
		Credit:     s.cfg.Credit,
		Agent:      s.cfg.Agent,
		Trail:      s.trail,
		Back:       back,
	})
}
