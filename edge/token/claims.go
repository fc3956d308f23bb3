package token

import (
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"vsync/core"
)

// All is the name that stands for every database.
const All = "*"

// Claims are what a token says.
type Claims struct {
	Subject   string
	Databases []string // names; All alone: every one
	Write     bool     // else it may only read
	Expires   time.Time
}

// Allows reports whether the token is good for a database.
func (c Claims) Allows(database string) bool {
	return slices.Contains(c.Databases, All) || slices.Contains(c.Databases, database)
}

// encoded are claims as a token has them.
type encoded struct {
	Databases names  `json:"db"`
	Rights    string `json:"rights,omitempty"`
	jwt.RegisteredClaims
}

// names are one text, or several.
type names []string

func (n *names) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(n))
}

const (
	rightRead  = "read"
	rightWrite = "write"
)

// Validate is called by package jwt behind its own checks.
func (e *encoded) Validate() error {
	switch {
	case e.Subject == "" || len(e.Subject) > maxSubject || !utf8.ValidString(e.Subject):
		return wrong(`expected "sub" to be 1 to %d bytes of UTF-8`, maxSubject)
	case len(e.Databases) == 0 || len(e.Databases) > maxDatabases || slices.Contains(e.Databases, ""):
		return wrong(`expected "db" to be the name of a database, 1 to %d of them in a list, or "*"`, maxDatabases)
	case e.ExpiresAt != nil && (e.ExpiresAt.Year() < 1970 || e.ExpiresAt.Year() > 9999):
		return wrong(`expected "exp" to be seconds since 1970, within the next thousands of years`)
	case e.Rights != "" && e.Rights != rightRead && e.Rights != rightWrite:
		return wrong(`expected "rights" to be "read" or "write"`)
	}
	return nil
}

// Sign makes a token of claims, by the first key of the set that has a secret.
//
// Errors: INVALID for claims that cannot be said, and where no key signs.
func (ks *Keys) Sign(c Claims) (string, error) {
	i := slices.IndexFunc(ks.keys, func(k key) bool { return k.alg == HS256 || k.private != nil })
	if i < 0 {
		return "", invalid("no key of the set can sign: they are public halves; sign where the private ones are")
	}
	e := &encoded{Databases: c.Databases, Rights: rightRead, RegisteredClaims: jwt.RegisteredClaims{
		Subject: c.Subject, ExpiresAt: jwt.NewNumericDate(c.Expires)}}
	if c.Write {
		e.Rights = rightWrite
	}
	if err := e.Validate(); err != nil {
		return "", invalid("a token cannot say that: %v", err)
	}
	k := &ks.keys[i]
	var t *jwt.Token
	var by any = k.secret
	if t = jwt.NewWithClaims(jwt.SigningMethodHS256, e); k.alg == EdDSA {
		t, by = jwt.NewWithClaims(jwt.SigningMethodEdDSA, e), k.private
	}
	t.Header["kid"] = k.id
	text, err := t.SignedString(by)
	switch {
	case err != nil:
		return "", &core.Error{Code: core.Internal, Message: "the token cannot be signed", Err: err}
	case len(text) > maxToken:
		return "", invalid(`the token would have %d bytes, and at most %d are taken; name fewer databases, or "*"`, len(text), maxToken)
	}
	return text, nil
}
