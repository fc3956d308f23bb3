package token

import (
	"time"

	"vsync/edge"
)

// Grant judges a token for a database, and says what it gives: what a hub's Auth does.
//
// Errors: those of VerifyFor.
func (ks *Keys) Grant(text, database string, now time.Time) (edge.Grant, error) {
	c, err := ks.VerifyFor(text, database, now)
	if err != nil {
		return edge.Grant{}, err
	}
	return edge.Grant{Subject: c.Subject, ReadOnly: !c.Write, Expires: uint64(max(c.Expires.Add(Leeway).UnixMilli(), 1))}, nil
}
