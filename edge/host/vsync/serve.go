package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"vsync/edge/host"
	"vsync/edge/token"
)

func serveCommand() *command {
	var o serving
	return &command{
		name: "serve", brief: "run the hub", local: true,
		help: `Serves any number of databases, the page and the feed, and keeps them in a directory. A database is made by the
first device that asks for it. Without keys it listens on this machine alone, as whoever reaches it may read and write
everything. With keys (vsync keys makes some) it asks everybody for a token (vsync token), and listens on any address;
tokens travel readable then, so put something that speaks TLS before it. A file of keys that changes is read again.

Pages of other websites may not use it, unless --origin names them: --origin https://app.example. Ctrl-C, or
SIGTERM, ends it in order; a second one at once.`,
		flags: func(f *flags) {
			f.text(&o.host, "host", "localhost", "ADDRESS", "localhost, 127.0.0.1 or ::1, with keys any other (else localhost)")
			f.number(&o.port, "port", 8787, "port; 0: a free one (else 8787)")
			f.text(&o.data, "data", or(os.Getenv("VSYNC_DATA"), ".vsync"), "DIR", "where the databases are (else VSYNC_DATA, else .vsync)")
			f.text(&o.keys, "keys", "", "FILE", "keys of tokens (else VSYNC_KEYS: a file, or the set itself)")
			f.number(&o.open, "open", 0, "databases that are open at once, at most (else 128); each has up to a few MB, and four files")
			f.list(&o.origins, "origin", "URL", "origin whose pages may connect, such as https://app.example; can be given again")
		},
		run: func(ctx context.Context, c *call) error { return o.run(ctx, c) },
	}
}

type serving struct {
	host    string
	port    int
	open    int
	data    string
	keys    string
	origins []string
}

func (o *serving) run(ctx context.Context, c *call) error {
	if o.port > 65535 {
		return fail(codeUsage, "--port %d: expected at most 65535", o.port)
	}
	keys, err := readKeys(o.keys)
	if err != nil {
		return err
	}
	listeners, err := host.Listen(o.host, o.port, keys)
	if err != nil {
		return err
	}
	server, err := host.New(host.Config{Data: o.data, Version: version, Origins: o.origins, Keys: keys, Open: o.open, Log: c.logger()})
	if err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return err
	}
	if err := o.announce(c, listeners[0], keys); err != nil {
		server.Close()
		return err
	}
	if path := keysFile(o.keys); path != "" {
		go followKeys(ctx, path, server, c.logger())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listeners...) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	if closed := server.Close(); err == nil {
		err = closed
	}
	return err
}

// announce says where the hub is, once it can be reached.
func (o *serving) announce(c *call, l net.Listener, keys *token.Keys) error {
	address := net.JoinHostPort(o.host, strconv.Itoa(host.Port(l)))
	data, err := filepath.Abs(o.data)
	if err != nil {
		data = o.data
	}
	if c.json {
		err = c.line(map[string]any{"page": "http://" + address + "/", "feed": "ws://" + address, "port": host.Port(l), "data": data, "pid": os.Getpid(), "tokens": keys != nil})
	} else {
		who := "It can be reached from this machine alone, because it has no keys."
		if keys != nil {
			who = "It asks everybody for a token."
		}
		_, err = fmt.Fprintf(c.out, "vsync hub\n  page     http://%s/\n  devices  --feed ws://%s\n  data     %s\n"+
			"%s Ctrl-C ends it.\n", address, address, data, who)
	}
	if err == nil {
		err = c.out.Flush()
	}
	return output(err)
}

// logger writes what happens to stderr, a line at a time.
func (c *call) logger() func(string) {
	var mu sync.Mutex
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		c.warn("%s", line)
	}
}
