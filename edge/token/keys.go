package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"vsync/core"
)

// An Alg is a way to sign.
type Alg string

const (
	HS256 Alg = "HS256" // one secret, by which tokens are signed and judged
	EdDSA Alg = "EdDSA" // Ed25519: who only judges has nothing that signs
)

// Keys are a set of keys, all of which are valid. They do not change.
type Keys struct{ keys []key }

type key struct {
	id      string
	alg     Alg
	secret  []byte             // HS256
	public  ed25519.PublicKey  // EdDSA
	private ed25519.PrivateKey // EdDSA, nil: it only judges
}

// A jwk is a key as a set has it.
type jwk struct {
	ID    string `json:"kid"`
	Type  string `json:"kty"`
	Curve string `json:"crv,omitempty"`
	Alg   Alg    `json:"alg,omitempty"`
	K     string `json:"k,omitempty"`
	X     string `json:"x,omitempty"`
	D     string `json:"d,omitempty"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// ParseKeys reads a set.
//
// Errors: INVALID, which names the key by its place and its kid, and says nothing of what is in it.
func ParseKeys(text []byte) (*Keys, error) {
	if len(text) > maxSet {
		return nil, invalid("the set of keys has %d bytes; expected at most %d", len(text), maxSet)
	}
	var set jwks
	if json.Unmarshal(text, &set) != nil { // whose text may show what stood there
		return nil, invalid(`the set of keys cannot be read; expected JSON such as {"keys": [{"kid": "a", "kty": "oct", "alg": "HS256", "k": "…"}]}`)
	}
	if len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return nil, invalid("the set has %d keys; expected 1 to %d", len(set.Keys), maxKeys)
	}
	ks := &Keys{}
	for i, j := range set.Keys {
		k, err := j.key()
		if err != nil {
			return nil, invalid("key %d of the set (kid %q): %v", i+1, clip(j.ID), err)
		}
		if ks.find(k.id) != nil {
			return nil, invalid("the kid %q stands twice in the set; give each key one of its own", k.id)
		}
		ks.keys = append(ks.keys, k)
	}
	return ks, nil
}

func (j *jwk) key() (k key, err error) {
	if j.ID == "" || len(j.ID) > maxKid || strings.ContainsFunc(j.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return k, fmt.Errorf("expected a kid of 1 to %d printable characters of ASCII", maxKid)
	}
	k.id = j.ID
	switch {
	case j.Type == "oct" && (j.Alg == HS256 || j.Alg == ""):
		k.alg = HS256
		if k.secret, err = decode("k", j.K); err == nil && len(k.secret) < minSecret {
			err = fmt.Errorf("its secret has %d bytes; expected %d or more, drawn at random", len(k.secret), minSecret)
		}
	case j.Type == "OKP" && j.Curve == "Ed25519" && (j.Alg == EdDSA || j.Alg == ""):
		k.alg = EdDSA
		err = j.pair(&k)
	default:
		err = fmt.Errorf(`expected "kty": "oct" with "alg": "HS256", or "kty": "OKP" with "crv": "Ed25519" and "alg": "EdDSA"`)
	}
	return k, err
}

// pair reads the halves of a key of Ed25519.
func (j *jwk) pair(k *key) error {
	x, err := decode("x", j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return fmt.Errorf(`expected "x" to be %d bytes as base64url`, ed25519.PublicKeySize)
	}
	k.public = x
	if j.D == "" {
		return nil
	}
	d, err := decode("d", j.D)
	if err != nil || len(d) != ed25519.SeedSize {
		return fmt.Errorf(`expected "d" to be %d bytes as base64url`, ed25519.SeedSize)
	}
	k.private = ed25519.NewKeyFromSeed(d)
	if !k.public.Equal(k.private.Public()) {
		return fmt.Errorf(`"x" is not the public half of "d"`)
	}
	return nil
}

func decode(name, text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, fmt.Errorf("expected %q to be base64url", name)
	}
	return b, nil
}

func (ks *Keys) find(id string) *key {
	i := slices.IndexFunc(ks.keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return &ks.keys[i]
}

// IDs returns the names of the keys, the one that signs first where there is one.
func (ks *Keys) IDs() (ids []string) {
	for _, k := range ks.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// With returns a set that has a new key before the others.
//
// Errors: INVALID for a kid that cannot be used or is there already, and for a set that is full.
func (ks *Keys) With(id string, alg Alg, random io.Reader) (*Keys, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, &core.Error{Code: core.Internal, Message: "no random bytes can be had", Err: err}
	}
	j := jwk{ID: id, Type: "oct", Alg: HS256, K: base64.RawURLEncoding.EncodeToString(seed)}
	switch alg {
	case HS256:
	case EdDSA:
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		j = jwk{ID: id, Type: "OKP", Curve: "Ed25519", Alg: EdDSA, X: base64.RawURLEncoding.EncodeToString(public), D: j.K}
	default:
		return nil, invalid("there is no algorithm %q here; expected %s or %s", clip(string(alg)), EdDSA, HS256)
	}
	set := jwks{Keys: []jwk{j}}
	if ks != nil {
		set.Keys = append(set.Keys, ks.set().Keys...)
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	return ParseKeys(text)
}

// Without returns a set that lacks a key: what it has signed is not genuine any more.
//
// Errors: INVALID where there is no such key, or no other.
func (ks *Keys) Without(id string) (*Keys, error) {
	if ks.find(id) == nil {
		return nil, invalid("there is no key %q in the set, but %s", clip(id), strings.Join(ks.IDs(), ", "))
	}
	if len(ks.keys) == 1 {
		return nil, invalid("%q is the only key of the set; make another before you remove it", id)
	}
	rest := &Keys{}
	for _, k := range ks.keys {
		if k.id != id {
			rest.keys = append(rest.keys, k)
		}
	}
	return rest, nil
}

// Encode writes the set, secrets included.
func (ks *Keys) Encode() []byte {
	text, _ := json.MarshalIndent(ks.set(), "", "  ") // texts alone
	return append(text, '\n')
}

// Line writes the set as Encode does, in one line: for the environment of a program.
func (ks *Keys) Line() []byte {
	text, _ := json.Marshal(ks.set()) // texts alone
	return text
}

// Public returns the set without the private halves of keys: what it judges is the same. A key of HS256 has one half, and stays.
func (ks *Keys) Public() *Keys {
	rest := &Keys{keys: slices.Clone(ks.keys)}
	for i := range rest.keys {
		rest.keys[i].private = nil
	}
	return rest
}

func (ks *Keys) set() jwks {
	set := jwks{}
	for _, k := range ks.keys {
		j := jwk{ID: k.id, Type: "oct", Alg: k.alg, K: base64.RawURLEncoding.EncodeToString(k.secret)}
		if k.alg == EdDSA {
			j = jwk{ID: k.id, Type: "OKP", Curve: "Ed25519", Alg: EdDSA, X: base64.RawURLEncoding.EncodeToString(k.public)}
			if k.private != nil {
				j.D = base64.RawURLEncoding.EncodeToString(k.private.Seed())
			}
		}
		set.Keys = append(set.Keys, j)
	}
	return set
}

// String says which keys there are, and nothing of what is in them.
func (ks *Keys) String() string { return "keys " + strings.Join(ks.IDs(), ", ") }

// GoString keeps secrets out of %#v.
func (ks *Keys) GoString() string { return ks.String() }

// Format keeps secrets out of every verb.
func (ks *Keys) Format(f fmt.State, _ rune) { io.WriteString(f, ks.String()) }

func invalid(format string, args ...any) error {
	return &core.Error{Code: core.Invalid, Message: fmt.Sprintf(format, args...)}
}

// clip keeps what others wrote short.
func clip(s string) string {
	if len(s) > maxKid {
		return strings.ToValidUTF8(s[:maxKid], "") + "…"
	}
	return s
}
