package main

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"vsync/core"
	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/edge/clock"
	"vsync/edge/host"
	"vsync/edge/host/sqlite"
	"vsync/edge/ws"
)

// A device is the open replica of a command.
//
//	DATA/replicas/NAME.db      the store, see package sqlite
//	DATA/replicas/NAME.json    what later commands need to know: {"feed": "ws://…"}
type device struct {
	*core.Replica
	c       *call
	feed    string           // base URL of the hub; empty: none
	watcher *watcher.Watcher // nil: not connected
	news    chan struct{}    // has a value when the status may be another
}

// settings are what a device remembers beside its replica.
type settings struct {
	Feed string `json:"feed,omitempty"`
}

// intent says what a command wants of the device.
type intent uint8

const (
	toRead  intent = iota // an empty database that nothing can come into is none
	toWrite               // a database that is not there is made
	toLook                // at what is there, without the hub
)

// openDevice opens the replica that the flags name, and begins to sync it.
func (c *call) openDevice(ctx context.Context, why intent) (*device, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	path := filepath.Join(c.data, "replicas", c.db)
	known := readSettings(path + ".json")
	feed, err := feedURL(or(c.feed, or(os.Getenv("VSYNC_FEED"), known.Feed)))
	if err != nil {
		return nil, err
	}
	_, statErr := os.Stat(path + ".db")
	if errors.Is(statErr, fs.ErrNotExist) && (why == toLook || why == toRead && (feed == "" || c.offline)) {
		return nil, fail(codeNotFound, "there is no database %q in %s; put or import makes one, or --feed gets it from a hub", c.db, c.data)
	}
	d := &device{c: c, feed: feed, news: make(chan struct{}, 1)}
	if d.Replica, err = c.openReplica(ctx, path, feed != ""); err != nil {
		return nil, err
	}
	if feed != known.Feed {
		if err := writeSettings(path+".json", settings{Feed: feed}); err != nil {
			d.close()
			return nil, err
		}
	}
	if feed != "" && !c.offline && why != toLook {
		if err := d.connect(); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

func (c *call) openReplica(ctx context.Context, path string, feed bool) (*core.Replica, error) {
	for _, dir := range []string{c.data, filepath.Dir(path)} {
		if err := host.MakeDirectory(dir); err != nil {
			return nil, err
		}
	}
	st, err := sqlite.Open(ctx, path+".db", sqlite.Options{})
	if err != nil {
		return nil, host.Explain(err, "the database "+c.db+" in "+c.data+" cannot be opened")
	}
	durability := store.Relaxed
	if c.strict {
		durability = store.Strict
	}
	return core.Open(ctx, st, core.Config{
		Role: core.RoleDevice, Database: c.db, Now: host.Now, Rand: host.Random, Durability: durability, Feed: feed,
		Repair: c.repair,
	})
}

// connect begins to sync, in the background.
func (d *device) connect() error {
	var seed [32]byte
	cryptorand.Read(seed[:])
	token := or(d.c.token, os.Getenv("VSYNC_TOKEN"))
	w, err := watcher.NewWatcher(d.Replica, watcher.Feed{
		URL: d.feed + "/v1/" + d.c.db, Database: d.c.db, Agent: "vsync/" + version,
		Token: func(context.Context) (string, error) { return token, nil },
		Dial:  ws.Dialer{}.Dial, Clock: clock.System{}, Rand: rand.NewChaCha8(seed),
	})
	if err != nil {
		return err
	}
	d.watcher = w
	w.Subscribe(func(watcher.Status) {
		select {
		case d.news <- struct{}{}:
		default:
		}
	})
	go w.Run(context.Background())
	return nil
}

// close ends the connection, then the replica.
func (d *device) close() error {
	if d.watcher != nil {
		d.watcher.Close()
	}
	return d.Replica.Close()
}

// with opens the device, runs fn, and closes the device whatever came of it.
func (c *call) with(ctx context.Context, why intent, fn func(*device) error) error {
	d, err := c.openDevice(ctx, why)
	if err != nil {
		return err
	}
	err = fn(d)
	c.progress.end()
	if closed := d.close(); err == nil {
		err = closed
	}
	return err
}

// feedURL returns the base of a hub's addresses: ws or wss, without a slash at its end.
func feedURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err == nil {
		switch u.Scheme {
		case "http":
			u.Scheme = "ws"
		case "https":
			u.Scheme = "wss"
		}
	}
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fail(codeUsage, "the feed %q is no hub's address: expected one such as ws://localhost:8787, or wss://hub.example", text)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// readSettings returns what is remembered; nothing, if it cannot be read: a flag says it again.
func readSettings(path string) (s settings) {
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &s)
	}
	return s
}

func writeSettings(path string, s settings) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(path+".new", append(text, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fail(core.ReadOnly, "the hub's address cannot be remembered: %v", err)
	}
	return nil
}
