package wasmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"

	"vsync/web/browser"
)

// Program is one run of a test program.
type Program struct {
	Binary string   // the file
	Dir    string   // the directory that it finds itself in
	Args   []string // without its name
	Env    []string // "NAME=value"
	Shared bool     // in a SharedWorker

	Stdout, Stderr io.Writer
}

// Run runs a program in a new tab of b, and returns its exit code. Where it cannot be run to its end, by whatever reason, there is an error.
func (s *Server) Run(ctx context.Context, b browser.Driver, p Program) (code int, err error) {
	tab, err := b.Open(ctx, s.URL()+"/")
	if err != nil {
		return 0, err
	}
	defer tab.Close()
	s.setRunning(&session{tab: tab, origin: s.URL()})
	defer s.setRunning(nil)

	kind := "dedicated"
	if p.Shared {
		kind = "shared"
	}
	start := map[string]any{"wasm": s.add(p.Binary), "dir": p.Dir, "args": append([]string{}, p.Args...), "env": environment(p.Env)}
	if err := tab.Call(ctx, nil, "start", kind, start); err != nil {
		return 0, err
	}
	for {
		var said []message
		if err := tab.Eval(ctx, &said, "take()"); err != nil {
			return 0, err
		}
		for _, m := range said {
			switch {
			case m.Error != "":
				return 0, fmt.Errorf("wasmtest: %s: %s", p.Binary, m.Error)
			case m.Code != nil:
				return *m.Code, nil
			case m.FD == 1:
				_, err = p.Stdout.Write(m.Bytes)
			default:
				_, err = p.Stderr.Write(m.Bytes)
			}
			if err != nil {
				return 0, fmt.Errorf("wasmtest: %w", err)
			}
		}
	}
}

// message is what page.html hands over.
type message struct {
	FD    int    `json:"fd"`
	Bytes []byte `json:"bytes"`
	Code  *int   `json:"code"`
	Error string `json:"error"`
}

// environment is what of an environment concerns a program in a browser: all of it would not fit into the 8 KB that Go has for it.
func environment(list []string) map[string]string {
	env := map[string]string{}
	for _, entry := range list {
		name, value, _ := strings.Cut(entry, "=")
		if name == "GODEBUG" || name == "GOTRACEBACK" || strings.HasPrefix(name, "VSYNC_") {
			env[name] = value
		}
	}
	return env
}

// session is a tab in which a program runs.
type session struct {
	tab    browser.Tab
	origin string
}

func (c *session) clear(ctx context.Context) error {
	page, is := c.tab.(*browser.Page)
	if !is {
		return errors.New("wasmtest: only Chromium clears the storage of an origin")
	}
	return page.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: c.origin, StorageTypes: "all"})
		return err
	}))
}
