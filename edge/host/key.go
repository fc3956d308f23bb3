package host

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"vsync/core"
)

const keyBytes = 32

// readKey reads the hub's key, or makes one. It is written whole before it has its name, so that no crash
// leaves a part of one.
func readKey(dir string, log func(string)) ([]byte, error) {
	path := filepath.Join(dir, "hub.key")
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeKey(path)
	case err != nil:
		return nil, fail(core.ReadOnly, "the hub's key cannot be read: %v", err)
	case len(key) != keyBytes:
		return nil, fail(core.Corrupt, "%s has %d bytes, expected %d: bring it back from a backup", path, len(key), keyBytes)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		log("others on this machine may read " + path + ": chmod 600 it")
	}
	return key, nil
}

func hasKey(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "hub.key"))
	return !errors.Is(err, fs.ErrNotExist)
}

func makeKey(path string) ([]byte, error) {
	key := make([]byte, keyBytes)
	rand.Read(key)
	unreadable := func(err error) error { return fail(core.ReadOnly, "the hub's key cannot be written: %v", err) }
	draft := path + ".new"
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, unreadable(err)
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, unreadable(err)
	}
	if err := os.Rename(draft, path); err != nil {
		return nil, unreadable(err)
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // the name is to last like the key; where directories cannot be synced, it does
		dir.Close()
	}
	return key, nil
}
