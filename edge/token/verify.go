package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"vsync/core"
	"vsync/core/wire"
)

// Unauthenticated: a token is missing, expired or not genuine.
const Unauthenticated = core.Code(wire.CodeUnauthenticated)

// A wrongClaim says what of a genuine token cannot be used.
type wrongClaim string

func (w wrongClaim) Error() string { return string(w) }

func wrong(format string, args ...any) error { return wrongClaim(fmt.Sprintf(format, args...)) }

// Verify judges a token at the time now.
//
// Errors: UNAUTHENTICATED.
func (ks *Keys) Verify(text string, now time.Time) (Claims, error) {
	switch {
	case text == "":
		return Claims{}, unauthenticated("this hub asks for a token, and none came; get one from who runs it")
	case len(text) > maxToken:
		return Claims{}, unauthenticated("the token has %d bytes; expected at most %d", len(text), maxToken)
	}
	var e encoded
	_, err := jwt.ParseWithClaims(text, &e, ks.pick,
		jwt.WithValidMethods([]string{string(HS256), string(EdDSA)}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(Leeway), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding())
	if err != nil {
		return Claims{}, ks.explain(err, &e, now)
	}
	return Claims{Subject: e.Subject, Databases: slices.Clone(e.Databases), Write: e.Rights == rightWrite, Expires: e.ExpiresAt.Time}, nil
}

// VerifyFor judges a token for a database.
//
// Errors: UNAUTHENTICATED; FORBIDDEN where it is good for others.
func (ks *Keys) VerifyFor(text, database string, now time.Time) (Claims, error) {
	c, err := ks.Verify(text, now)
	if err == nil && !c.Allows(database) {
		return Claims{}, &core.Error{Code: core.Forbidden, Message: fmt.Sprintf(
			"the token is not for the database %q; get one that names it", database)}
	}
	return c, err
}

var (
	errNoKid   = errors.New("no kid")
	errUnknown = errors.New("unknown key")
	errOther   = errors.New("another algorithm")
)

// pick finds the key of a token. The algorithm is the key's, and a header that says otherwise is refused: else a public half could
// be used as a secret.
func (ks *Keys) pick(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	if id == "" && len(ks.keys) == 1 {
		id = ks.keys[0].id
	}
	k := ks.find(id)
	switch {
	case id == "":
		return nil, errNoKid
	case k == nil:
		return nil, errUnknown
	case t.Method.Alg() != string(k.alg):
		return nil, errOther
	case k.alg == HS256:
		return k.secret, nil
	}
	return k.public, nil
}

// explain says what was expected, what came and what to do, for what package jwt found.
func (ks *Keys) explain(err error, e *encoded, now time.Time) error {
	var claim wrongClaim
	switch {
	case errors.Is(err, errNoKid):
		return unauthenticated(`the token does not name its key; expected "kid" in its header, as there are several keys`)
	case errors.Is(err, errUnknown):
		return unauthenticated("the token is signed by a key that this hub does not have; get a new one")
	case errors.Is(err, errOther):
		return unauthenticated("the token names another algorithm than its key has; it was not made by who has the key")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return unauthenticated("the token is not genuine: its signature is not by the key that it names, with %s or %s; get a new one", EdDSA, HS256)
	case errors.Is(err, jwt.ErrTokenMalformed), errors.Is(err, jwt.ErrTokenUnverifiable):
		return unauthenticated("this is no token; expected three parts of base64url with dots between, as `vsync token` prints them")
	case errors.Is(err, jwt.ErrTokenExpired):
		return unauthenticated("the token expired at %s, and it is %s here; get a new one", clock(e.ExpiresAt.Time), clock(now))
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return unauthenticated("the token is of the future: it is %s here; set the clocks", clock(now))
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return unauthenticated(`the token never expires; expected "exp"`)
	case errors.As(err, &claim):
		return unauthenticated("the token cannot be used: %v", claim)
	}
	return unauthenticated("the token cannot be used; get a new one")
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func unauthenticated(format string, args ...any) error {
	return &core.Error{Code: Unauthenticated, Message: fmt.Sprintf(format, args...)}
}

// Bearer returns the token of an Authorization header; "" where there is none.
func Bearer(header string) string {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}
