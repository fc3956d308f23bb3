package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vsync/core"
	"vsync/edge/host"
	"vsync/edge/token"
)

// readKeys reads a set of keys: of a file, or where none is named, of VSYNC_KEYS, which is a set itself or names a file. Nil: there is
// none.
func readKeys(path string) (*token.Keys, error) {
	text := []byte(os.Getenv("VSYNC_KEYS"))
	if path = keysFile(path); path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, fail(codeUsage, "the keys cannot be read: %v; vsync keys makes some", err)
		}
	}
	if len(text) == 0 {
		return nil, nil
	}
	return token.ParseKeys(text)
}

// keysFile is the file that the keys stand in: "" where there is none, or VSYNC_KEYS is the set itself.
func keysFile(path string) string {
	if env := os.Getenv("VSYNC_KEYS"); path == "" && !strings.HasPrefix(strings.TrimSpace(env), "{") {
		return env
	}
	return path
}

// keysEvery is how often a file of keys is looked at: who has changed it waits for it.
const keysEvery = time.Second

// followKeys gives the hub the keys of a file each time that it has changed. One that cannot be read changes nothing.
func followKeys(ctx context.Context, path string, hub *host.Server, log func(string)) {
	look := func() (mark string) {
		if info, err := os.Stat(path); err == nil {
			mark = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
		}
		return mark
	}
	seen := look()
	ticker := time.NewTicker(keysEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := look()
		if now == seen || now == "" {
			continue
		}
		seen = now
		keys, err := readKeys(path)
		if err == nil {
			err = hub.SetKeys(keys)
		}
		if err != nil {
			log("the keys have changed and cannot be used, so those of before stay: " + err.Error())
			continue
		}
		log("has new keys: " + strings.Join(keys.IDs(), ", "))
	}
}

func tokenCommand() *command {
	var keys, subject string
	var databases []string
	var readOnly bool
	expires := time.Hour
	return &command{
		name: "token", brief: "print a token, for a device or a service", local: true,
		help: `Who shows it to a hub with the same keys is the subject, whose devices are nobody else's, and may use the
databases until it expires. The first key of the set that can sign does.

  vsync token --keys keys.json --subject anna --db notes --expires 1h
  vsync token --keys keys.json --subject report --db '*' --expires 24h --read-only`,
		flags: func(f *flags) {
			f.text(&keys, "keys", "", "FILE", "the set of keys (else VSYNC_KEYS: a file, or the set itself)")
			f.text(&subject, "subject", "", "TEXT", "whose it is; required")
			f.list(&databases, "db", "NAME", "database, required; can be given again; *: all")
			f.duration(&expires, "expires", "TIME", "how long it is good, such as 30m or 24h (else 1h)")
			f.bool(&readOnly, "read-only", "it allows reading only")
		},
		run: func(_ context.Context, c *call) error {
			set, err := readKeys(keys)
			switch {
			case err != nil:
				return err
			case set == nil:
				return fail(codeUsage, "a token needs keys: --keys FILE, or VSYNC_KEYS; vsync keys makes some")
			case expires <= 0:
				return fail(codeUsage, "--expires: expected a time such as 1h, in which the token is good")
			}
			for _, name := range databases {
				if name != token.All && !host.ValidName(name) {
					return fail(codeUsage, "--db %q: the name of a database has 1 to 64 characters of a-z 0-9 . _ -; * are all", name)
				}
			}
			claims := token.Claims{Subject: subject, Databases: databases, Write: !readOnly, Expires: time.Now().Add(expires)}
			text, err := set.Sign(claims)
			if err != nil {
				return err
			}
			rights := "write"
			if readOnly {
				rights = "read"
			}
			if c.json {
				return c.line(map[string]any{"token": text, "subject": subject, "db": databases, "rights": rights, "expires": claims.Expires.UnixMilli()})
			}
			_, err = fmt.Fprintln(c.out, text)
			return output(err)
		},
	}
}

func keysCommand() *command {
	var alg, remove, kid string
	var public bool
	return &command{
		name: "keys", args: "FILE", brief: "make a key for tokens, before those that are there", min: 1, max: 1, local: true,
		help: `The file is a set of keys (JWKS), made where it is not there. All keys of it are valid, and the first signs: to
change keys, add one, and remove the old one when the last token that it signed has expired. A hub that is served
with the file takes up what changes. Who has the file can make tokens; --public prints what a hub needs that only
judges them, such as the secret TOKEN_KEYS of a Worker.

  vsync keys keys.json
  vsync keys keys.json --remove 20261126-120000
  vsync keys keys.json --public`,
		flags: func(f *flags) {
			f.text(&alg, "alg", string(token.EdDSA), "ALG", "EdDSA or HS256 (else EdDSA)")
			f.text(&kid, "kid", "", "NAME", "the key's name (else the time)")
			f.text(&remove, "remove", "", "NAME", "remove this key instead")
			f.bool(&public, "public", "print the set without what signs instead; HS256 has nothing less")
		},
		run: func(_ context.Context, c *call) error {
			if public {
				set, err := readKeys(c.args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.out, "%s\n", set.Public().Line())
				return output(err)
			}
			set, err := changeKeys(c.args[0], token.Alg(alg), kid, remove)
			if err != nil {
				return err
			}
			if c.json {
				return c.line(map[string]any{"keys": set.IDs()})
			}
			_, err = fmt.Fprintln(c.out, strings.Join(set.IDs(), "\n"))
			return output(err)
		},
	}
}

// changeKeys adds a key to the set of a file, or removes one.
func changeKeys(path string, alg token.Alg, kid, remove string) (set *token.Keys, err error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && remove == "":
	case err != nil:
		return nil, fail(codeUsage, "the keys cannot be read: %v", err)
	default:
		if set, err = token.ParseKeys(text); err != nil {
			return nil, err
		}
	}
	if remove != "" {
		set, err = set.Without(remove)
	} else {
		set, err = set.With(or(kid, nameOfKey(set, time.Now())), alg, rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	if err := writeKeys(path, set.Encode()); err != nil {
		return nil, fail(core.ReadOnly, "the keys cannot be written: %v", err)
	}
	return set, nil
}

// nameOfKey names a key by the time.
func nameOfKey(set *token.Keys, now time.Time) string {
	name := now.UTC().Format("20060102-150405")
	for n := 2; set != nil && slices.Contains(set.IDs(), name); n++ {
		name = fmt.Sprintf("%s-%d", now.UTC().Format("20060102-150405"), n)
	}
	return name
}

// writeKeys writes the file whole before it has its name, for nobody else to read.
func writeKeys(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
