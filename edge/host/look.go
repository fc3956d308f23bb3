package host

import (
	"errors"
	"os"
	"path/filepath"

	"vsync/core"
	"vsync/edge/host/lock"
)

// Look opens one database of a hub's directory that is not being served, to check or repair it, and holds the directory until close.
//
// Errors: LOCKED if a hub serves it; NOT_FOUND is the caller's word for a database that is not there: os.ErrNotExist.
func Look(data, name string, repair bool) (r *core.Replica, closing func() error, err error) {
	path := filepath.Join(data, "databases", name+".db")
	if !ValidName(name) {
		return nil, nil, fail(core.Invalid, "%q is no name of a database", name)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, nil, err
	}
	held, err := lock.Acquire(filepath.Join(data, "hub.lock"))
	if err != nil {
		return nil, nil, Explain(err, data+" is served by a hub")
	}
	if !hasKey(data) {
		held.Release()
		return nil, nil, fail(core.Corrupt, "%s has no hub.key, by which its entries could be checked: bring it back from a backup", data)
	}
	key, err := readKey(data, func(string) {})
	if err == nil {
		r, err = openHub(path, name, key, repair, nil)
	}
	if err != nil {
		held.Release()
		return nil, nil, err
	}
	return r, func() error { return errors.Join(r.Close(), held.Release()) }, nil
}
