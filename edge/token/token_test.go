package token

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vsync/core"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func random() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

// ring is a set with a key of each kind: "new" of EdDSA, which signs, and "old" of HS256.
func ring(t testing.TB) *Keys {
	t.Helper()
	old, err := (*Keys)(nil).With("old", HS256, random())
	if err != nil {
		t.Fatal(err)
	}
	ks, err := old.With("new", EdDSA, random())
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

func part(v any) string {
	text, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text)
}

type object = map[string]any

// forge signs any header and claims with any key, as no library would.
func forge(header, claims object, by any) string {
	text := part(header) + "." + part(claims)
	switch by := by.(type) {
	case ed25519.PrivateKey:
		return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(by, []byte(text)))
	case []byte:
		mac := hmac.New(sha256.New, by)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return text + "."
}

func claimsWith(changes object) object {
	c := object{"sub": "anna", "db": "notes", "rights": "write", "exp": now.Add(time.Hour).Unix()}
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func TestSignAndVerify(t *testing.T) {
	ks := ring(t)
	signers := map[string]*Keys{"EdDSA": ks}
	signers["HS256"], _ = ks.Without("new")
	for name, signer := range signers {
		for _, want := range []Claims{
			{Subject: "anna", Databases: []string{"notes"}, Write: true, Expires: now.Add(time.Hour)},
			{Subject: "ånna", Databases: []string{"notes", "lists"}, Expires: now.Add(time.Minute)},
			{Subject: strings.Repeat("x", 512), Databases: []string{"*"}, Expires: now.Add(time.Hour)},
		} {
			text, err := signer.Sign(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ks.Verify(text, now)
			if err != nil || got.Subject != want.Subject || fmt.Sprint(got.Databases) != fmt.Sprint(want.Databases) ||
				got.Write != want.Write || !got.Expires.Equal(want.Expires) {
				t.Errorf("%s: %+v %v, want %+v", name, got, err, want)
			}
			if _, err := ks.VerifyFor(text, "notes", now); err != nil {
				t.Error(err)
			}
			_, err = ks.VerifyFor(text, "others", now)
			if all := want.Databases[0] == All; all != (err == nil) || !all && !errors.Is(err, &core.Error{Code: core.Forbidden}) {
				t.Errorf("another database: %v", err)
			}
		}
	}
}

// Each line is a token that is refused, and a word of why.
func TestRefused(t *testing.T) {
	ks := ring(t)
	secret, private, public := ks.find("old").secret, ks.find("new").private, ks.find("new").public
	hs := object{"alg": "HS256", "kid": "old", "typ": "JWT"}
	ed := object{"alg": "EdDSA", "kid": "new", "typ": "JWT"}
	good := forge(ed, claimsWith(nil), private)
	if _, err := ks.Verify(good, now); err != nil {
		t.Fatal(err)
	}
	otherSecret, otherPrivate := make([]byte, 32), ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, c := range map[string]struct{ text, why string }{
		"none":                 {"", "none came"},
		"no token":             {"hello", "no token"},
		"too long":             {strings.Repeat("x", maxToken+1), "bytes"},
		"alg none":             {forge(object{"alg": "none", "kid": "old"}, claimsWith(nil), nil), "not genuine"},
		"alg None":             {forge(object{"alg": "None", "kid": "old"}, claimsWith(nil), nil), "no token"},
		"alg none, signed":     {forge(object{"alg": "none", "kid": "new"}, claimsWith(nil), private), "not genuine"},
		"no alg":               {forge(object{"kid": "old"}, claimsWith(nil), secret), "no token"},
		"HS512":                {forge(object{"alg": "HS512", "kid": "old"}, claimsWith(nil), secret), "not genuine"},
		"public as secret":     {forge(object{"alg": "HS256", "kid": "new"}, claimsWith(nil), []byte(public)), "another algorithm"},
		"secret as EdDSA":      {forge(object{"alg": "EdDSA", "kid": "old"}, claimsWith(nil), otherPrivate), "another algorithm"},
		"wrong secret":         {forge(hs, claimsWith(nil), otherSecret), "not genuine"},
		"wrong private":        {forge(ed, claimsWith(nil), otherPrivate), "not genuine"},
		"no signature":         {forge(ed, claimsWith(nil), nil), "not genuine"},
		"unknown kid":          {forge(object{"alg": "HS256", "kid": "gone"}, claimsWith(nil), secret), "does not have"},
		"no kid of two":        {forge(object{"alg": "HS256"}, claimsWith(nil), secret), "name its key"},
		"kid is a number":      {forge(object{"alg": "HS256", "kid": 1}, claimsWith(nil), secret), "name its key"},
		"key in the header":    {forge(object{"alg": "HS256", "kid": "mine", "jwk": object{"kty": "oct", "k": "AAAA"}}, claimsWith(nil), otherSecret), "does not have"},
		"claims changed":       {swap(good, 1, part(claimsWith(object{"sub": "bert"}))), "not genuine"},
		"header changed":       {swap(good, 0, part(hs)), "not genuine"},
		"expired":              {forge(ed, claimsWith(object{"exp": now.Add(-31 * time.Second).Unix()}), private), "expired"},
		"expired, other years": {forge(ed, claimsWith(object{"exp": 1}), private), "expired"},
		"never expires":        {forge(ed, claimsWith(object{"exp": nil}), private), "never expires"},
		"expires at a text":    {forge(ed, claimsWith(object{"exp": "tomorrow"}), private), "no token"},
		"expires beyond time":  {forge(ed, claimsWith(object{"exp": 1e17}), private), "1970"},
		"not yet":              {forge(ed, claimsWith(object{"nbf": now.Add(time.Minute).Unix()}), private), "future"},
		"issued later":         {forge(ed, claimsWith(object{"iat": now.Add(time.Minute).Unix()}), private), "future"},
		"no subject":           {forge(ed, claimsWith(object{"sub": nil}), private), "sub"},
		"long subject":         {forge(ed, claimsWith(object{"sub": strings.Repeat("x", 513)}), private), "sub"},
		"no database":          {forge(ed, claimsWith(object{"db": nil}), private), "db"},
		"no databases":         {forge(ed, claimsWith(object{"db": []string{}}), private), "db"},
		"empty database":       {forge(ed, claimsWith(object{"db": ""}), private), "db"},
		"database is a number": {forge(ed, claimsWith(object{"db": 1}), private), "no token"},
		"unknown rights":       {forge(ed, claimsWith(object{"rights": "admin"}), private), "rights"},
	} {
		_, err := ks.Verify(c.text, now)
		var known *core.Error
		if !errors.As(err, &known) || known.Code != Unauthenticated || !strings.Contains(known.Message, c.why) {
			t.Errorf("%s: %v, want UNAUTHENTICATED with %q", name, err, c.why)
		}
		if len(c.text) > 30 && err != nil && strings.Contains(err.Error(), c.text[:30]) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

func swap(token string, at int, with string) string {
	parts := strings.Split(token, ".")
	parts[at] = with
	return strings.Join(parts, ".")
}

// The edges of the leeway, and rights that are not named.
func TestLeeway(t *testing.T) {
	ks := ring(t)
	ed := object{"alg": "EdDSA", "kid": "new"}
	text := forge(ed, claimsWith(object{"exp": now.Add(-29 * time.Second).Unix(), "nbf": now.Add(29 * time.Second).Unix(), "rights": nil}), ks.find("new").private)
	if c, err := ks.Verify(text, now); err != nil || c.Write {
		t.Errorf("%+v %v", c, err)
	}
}

// A key is put before another, signs, and the other goes: tokens of both are good in between.
func TestRotation(t *testing.T) {
	one, err := (*Keys)(nil).With("1", HS256, random())
	if err != nil {
		t.Fatal(err)
	}
	c := Claims{Subject: "anna", Databases: []string{"notes"}, Expires: now.Add(time.Hour)}
	first, _ := one.Sign(c)
	if _, err := one.Verify(forge(object{"alg": "HS256"}, claimsWith(nil), one.keys[0].secret), now); err != nil {
		t.Errorf("the only key need not be named: %v", err)
	}
	both, err := one.With("2", EdDSA, random())
	if err != nil {
		t.Fatal(err)
	}
	second, _ := both.Sign(c)
	two, err := both.Without("1")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		ks            *Keys
		first, second bool
	}{{one, true, false}, {both, true, true}, {two, false, true}} {
		again, err := ParseKeys(want.ks.Encode())
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := again.Verify(first, now)
		_, err2 := again.Verify(second, now)
		if (err1 == nil) != want.first || (err2 == nil) != want.second {
			t.Errorf("set %d: %v, %v", i, err1, err2)
		}
	}
	if _, err := two.Without("2"); err == nil {
		t.Error("the last key was removed")
	}
	if _, err := two.With("2", HS256, random()); err == nil {
		t.Error("a kid stands twice")
	}
	if _, err := two.Without("3"); err == nil {
		t.Error("a key that is not there was removed")
	}
}

// A set without private halves judges, and does not sign.
func TestPublicHalf(t *testing.T) {
	ks := ring(t)
	c := Claims{Subject: "anna", Databases: []string{All}, Write: true, Expires: now.Add(time.Hour)}
	text, _ := ks.Sign(c)
	var set jwks
	json.Unmarshal(ks.Public().Line(), &set)
	if set.Keys[0].D != "" || set.Keys[0].X == "" {
		t.Fatal("the private half is told")
	}
	set.Keys = set.Keys[:1]
	public, _ := json.Marshal(set)
	half, err := ParseKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.Verify(text, now); err != nil {
		t.Error(err)
	}
	if g, err := half.Grant(text, "db", now); err != nil || g.Subject != "anna" || g.ReadOnly || g.Expires != uint64(c.Expires.Add(Leeway).UnixMilli()) {
		t.Errorf("%+v %v", g, err)
	}
	if _, err := half.Sign(c); err == nil || !strings.Contains(err.Error(), "public halves") {
		t.Error(err)
	}
}

func TestBadSets(t *testing.T) {
	k := base64.RawURLEncoding.EncodeToString([]byte("a secret that has thirty-two bytes!!"))
	oct := func(id, k string) object { return object{"kid": id, "kty": "oct", "alg": "HS256", "k": k} }
	many := make([]any, maxKeys+1)
	for i := range many {
		many[i] = oct(fmt.Sprint(i), k)
	}
	for why, keys := range map[string][]any{
		"0 keys":      {},
		"33 keys":     many,
		"twice":       {oct("a", k), oct("a", k)},
		"kid of":      {oct("", k)},
		"printable":   {oct("a b", k)},
		"64":          {oct(strings.Repeat("a", 65), k)},
		"has 3 bytes": {oct("a", "AAAA")},
		"base64url":   {oct("a", "a secret that is no base64")},
		`"kty"`:       {object{"kid": "a", "kty": "RSA", "n": "AQAB", "e": "AQAB"}},
		`"alg"`:       {object{"kid": "a", "kty": "oct", "alg": "HS512", "k": k}},
		`"x"`:         {object{"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
		"half of":     {object{"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": strings.Repeat("A", 43), "d": strings.Repeat("A", 43)}},
	} {
		text, _ := json.Marshal(object{"keys": keys})
		_, err := ParseKeys(text)
		if !errors.Is(err, &core.Error{Code: core.Invalid}) || !strings.Contains(err.Error(), why) {
			t.Errorf("want INVALID with %q, got %v", why, err)
		}
		if err != nil && (strings.Contains(err.Error(), k) || strings.Contains(err.Error(), "no base64")) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	for _, text := range []string{"", "{", "[]", `{"keys": "secret"}`, strings.Repeat(" ", maxSet+1)} {
		if _, err := ParseKeys([]byte(text)); !errors.Is(err, &core.Error{Code: core.Invalid}) || strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// What cannot be said is not signed, and no verb prints a key.
func TestSignRefuses(t *testing.T) {
	ks := ring(t)
	later := now.Add(time.Hour)
	for i, c := range []Claims{
		{Databases: []string{"a"}, Expires: later}, {Subject: "anna", Expires: later}, {Subject: "\xff", Databases: []string{"a"}, Expires: later},
		{Subject: "anna", Databases: []string{""}, Expires: later}, {Subject: "anna", Databases: make([]string, 65), Expires: later},
		{Subject: "anna", Databases: []string{strings.Repeat("x", 8000)}, Expires: later}, {Subject: "anna", Databases: []string{"a"}},
	} {
		if text, err := ks.Sign(c); !errors.Is(err, &core.Error{Code: core.Invalid}) {
			t.Errorf("%d: %q %v", i, text, err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if text := fmt.Sprintf(verb, ks); text != "keys new, old" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"Bearer abc": "abc", "bearer  abc ": "abc", "": "", "Basic abc": "", "Bearer": "", "abc": ""} {
		if got := Bearer(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// No text makes it panic, and none but a signed one is taken.
func FuzzVerify(f *testing.F) {
	ks := ring(f)
	good, _ := ks.Sign(Claims{Subject: "anna", Databases: []string{"notes"}, Expires: now.Add(time.Hour)})
	f.Add(good)
	f.Add("..")
	f.Add(forge(object{"alg": "none"}, claimsWith(nil), nil))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ks.Verify(text, now); err == nil && text != good {
			t.Errorf("%q was taken", text)
		} else if err != nil && !errors.Is(err, &core.Error{Code: Unauthenticated}) {
			t.Error(err)
		}
	})
}
