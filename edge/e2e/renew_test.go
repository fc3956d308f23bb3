package e2e

import (
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/token"
)

// A connection ends with its token, though its device says nothing that would have the hub look; one that has brought another token goes on, and
// what that allows is what counts.
func TestAttackExpires(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := fortified(t)
	of := func(left time.Duration, write bool) string {
		return f.sign(token.Claims{Subject: "bert", Databases: []string{"db"}, Write: write, Expires: time.Now().Add(left - token.Leeway)})
	}
	ends, stays := f.enters(of(5*time.Second, true), 1), f.enters(of(5*time.Second, false), 2)
	stays.say(&wire.Token{Token: of(time.Hour, true)})
	if p, is := stays.hears().(*wire.Pong); !is || p.Expires < uint64(time.Now().Add(time.Minute).UnixMilli()) {
		t.Errorf("%+v", p)
	}
	from := time.Now()
	ends.refused("a token that has expired", ends.hears(), wire.CodeUnauthenticated)
	t.Logf("it ended after %v", time.Since(from))
	stays.say(&wire.Push{Gen: 1, Batches: [][]byte{batchOf(t, 2, 1, change.Hash{})}})
	if a, is := stays.hears().(*wire.Accepted); !is {
		t.Errorf("expected the push to be taken, got %+v", a)
	}
	f.before = f.state()
}
