// Package token makes and judges the tokens by which a hub knows who is there: JSON Web Tokens (RFC 7519), signed with HS256 or with
// EdDSA (Ed25519), and nothing else.
//
//	{"alg": "EdDSA", "kid": "2026-11", "typ": "JWT"}      header: the key that signed it
//	{"sub": "anna",                                       subject: whose the devices are, 1 to 512 bytes
//	 "db": ["notes", "lists"],                            databases, or one of them as a text, or "*": all
//	 "rights": "write",                                   "read" (also where it is absent) or "write"
//	 "exp": 1796000000}                                   required; seconds since 1970
//
// "nbf" and "iat" are heeded where they are there; clocks may differ by Leeway.
//
// Keys stand in a set (RFC 7517), of which several are valid at once: a new key is put before the old one, which goes when the
// last token that it signed has expired. The first key with a secret in it signs.
//
//	{"keys": [
//	  {"kid": "2026-11", "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": "base64url", "d": "base64url, only where it signs"},
//	  {"kid": "2026-10", "kty": "oct", "alg": "HS256", "k": "base64url, 32 bytes or more"}]}
//
// A key is good for its own algorithm alone, whatever a token's header says. No text of an error holds a key, a token or a part of one.
//
//	keys.go    a set as text ◀─▶ Keys
//	claims.go  claims ─▶ text, signed
//	verify.go  text ─▶ claims, or why not
package token
