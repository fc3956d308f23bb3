package host

import (
	"context"
	"time"

	"vsync/core"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/token"
)

// grant judges a token for a database. It is only called where there are keys.
func (c *Config) grant(_ context.Context, text, database string) (edge.Grant, error) {
	claims, err := c.Keys.VerifyFor(text, database, time.Now())
	if err != nil {
		return edge.Grant{}, err
	}
	return edge.Grant{Subject: claims.Subject, ReadOnly: !claims.Write, Expires: uint64(claims.Expires.Add(token.Leeway).UnixMilli())}, nil
}

// auth is what the hub of a database is told of tokens; nil: it asks for none.
func (c *Config) auth(database string) func(context.Context, string) (edge.Grant, error) {
	if c.Keys == nil {
		return nil
	}
	return func(ctx context.Context, text string) (edge.Grant, error) { return c.grant(ctx, text, database) }
}

// admit reads a hello and judges its token, before anything is opened, or made, for who sent it. It returns the frame, for the hub.
//
// Its error is errGone where the socket has ended.
func (c *Config) admit(socket wire.Conn, database string) (hello []byte, err error) {
	if c.Keys == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.patience(wire.HelloTimeout))
	defer cancel()
	if hello, err = socket.Read(ctx); ctx.Err() != nil {
		return nil, fail(core.Protocol, "expected hello within %v", c.patience(wire.HelloTimeout))
	} else if err != nil {
		return nil, errGone
	}
	m, err := wire.DecodeUp(hello)
	if err != nil {
		return nil, err
	}
	said, is := m.(*wire.Hello)
	if !is {
		return nil, fail(core.Protocol, "expected hello as the first message, got %v", m.Type())
	}
	_, err = c.grant(ctx, said.Token, database)
	return hello, err
}

// sees returns the databases of which a token may know; all, where there are no keys.
func (c *Config) sees(text string) func(database string) bool {
	if c.Keys == nil {
		return func(string) bool { return true }
	}
	claims, err := c.Keys.Verify(text, time.Now())
	return func(database string) bool { return err == nil && claims.Allows(database) }
}
