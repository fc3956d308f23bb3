package host

import (
	"context"
	"time"

	"vsync/core"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/token"
)

// SetKeys has tokens judged by another set from now on. Who is connected stays until his token expires, or he brings another.
//
// Errors: INVALID for no keys, or where there were none: then everybody would be let in, or nobody who is there.
func (s *Server) SetKeys(keys *token.Keys) error {
	if keys == nil || s.cfg.Keys == nil {
		return fail(core.Invalid, "a hub has keys from its start on, or never; start it again")
	}
	s.cfg.current.Store(keys)
	return nil
}

// grant judges a token for a database. It is only called where there are keys.
func (c *Config) grant(_ context.Context, text, database string) (edge.Grant, error) {
	return c.current.Load().Grant(text, database, time.Now())
}

// auth is what the hub of a database is told of tokens; nil: it asks for none.
func (c *Config) auth(database string) func(context.Context, string) (edge.Grant, error) {
	if c.Keys == nil {
		return nil
	}
	return func(ctx context.Context, text string) (edge.Grant, error) { return c.grant(ctx, text, database) }
}

// admit reads a hello and judges its token, before anything is opened, or made, for who sent it. It returns the frame, for the hub,
// and what the token allows.
//
// Its error is errGone where the socket has ended.
func (c *Config) admit(socket wire.Conn, database string) (hello []byte, grant edge.Grant, err error) {
	if c.Keys == nil {
		return nil, grant, nil
	}
	type said struct {
		frame []byte
		err   error
	}
	came := make(chan said, 1)
	go func() { // a deadline of the read would end the socket before it is told why
		frame, err := socket.Read(context.Background())
		came <- said{frame, err}
	}()
	late := time.NewTimer(c.patience(wire.HelloTimeout))
	defer late.Stop()
	select {
	case <-late.C:
		return nil, grant, fail(core.Protocol, "expected hello within %v", c.patience(wire.HelloTimeout))
	case first := <-came:
		if hello = first.frame; first.err != nil {
			return nil, grant, errGone
		}
	}
	m, err := wire.DecodeUp(hello)
	if err != nil {
		return nil, grant, err
	}
	greeting, is := m.(*wire.Hello)
	if !is {
		return nil, grant, fail(core.Protocol, "expected hello as the first message, got %v", m.Type())
	}
	grant, err = c.grant(context.Background(), greeting.Token, database)
	return hello, grant, err
}

// sees returns the databases of which a token may know; all, where there are no keys.
func (c *Config) sees(text string) func(database string) bool {
	if c.Keys == nil {
		return func(string) bool { return true }
	}
	claims, err := c.current.Load().Verify(text, time.Now())
	return func(database string) bool { return err == nil && claims.Allows(database) }
}
