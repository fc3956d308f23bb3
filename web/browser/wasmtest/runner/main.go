// Command runner is for `go test -exec`: it runs a Go test program for GOOS=js in a worker of headless Chromium, or of the
// browser that VSYNC_BROWSER names. Package wasmtest, above
// it, says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"vsync/web/browser"
	"vsync/web/browser/wasmtest"
	"vsync/web/browser/wasmtest/peer"
)

// handlers are the counterparts that packages need outside the browser, by patterns of http.ServeMux.
var handlers = map[string]http.Handler{"/peer/": peer.Handler()}

var (
	worker = flag.String("worker", "dedicated", "`kind` of worker that the program runs in: dedicated or shared")
	// At its own -test.timeout Go ends a program, with all its stacks, unless it never returns to the event loop.
	grace    = flag.Duration("grace", 15*time.Second, "how long a program has after its -test.timeout")
	chromium = flag.Bool("chromium", false, "print what Chromium itself says")
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: runner [flags] program.test [arguments]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || *worker != "dedicated" && *worker != "shared" {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(flag.Arg(0), flag.Args()[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		code = 1
	}
	os.Exit(code)
}

func run(binary string, args []string) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if limit := timeout(args); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit+*grace, fmt.Errorf("the program has not ended %v after its time limit: it does not return to the event loop", *grace))
		defer cancel()
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	server, err := wasmtest.Serve(dir, handlers)
	if err != nil {
		return 0, err
	}
	defer server.Close()
	kind, err := browser.Chosen()
	if err != nil {
		return 0, err
	}
	options := browser.Options{}
	if *chromium {
		options.Log = os.Stderr
	}
	b, err := browser.Drive(ctx, kind, options)
	if err != nil {
		return 0, err
	}
	code, err := server.Run(ctx, b, wasmtest.Program{
		Binary: binary, Dir: dir, Args: args, Env: os.Environ(), Shared: *worker == "shared", Stdout: os.Stdout, Stderr: os.Stderr,
	})
	// Nothing in the directory is wanted any more, so there is no need to part with the browser in peace.
	return code, errors.Join(err, b.Kill(), b.Close())
}

// timeout returns the program's own limit, 0 for none.
func timeout(args []string) time.Duration {
	for _, arg := range args {
		if value, is := strings.CutPrefix(strings.TrimLeft(arg, "-"), "test.timeout="); is {
			limit, _ := time.ParseDuration(value)
			return limit
		}
	}
	return 0
}
