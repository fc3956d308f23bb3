// Package wasmtest runs Go test programs (GOOS=js, GOARCH=wasm) in a worker of headless Chromium, as the engine itself runs; in one of
// Firefox or WebKit if VSYNC_BROWSER says so.
//
//	go build -o build/runner ./web/browser/wasmtest/runner
//	GOOS=js GOARCH=wasm go test -exec "$PWD/build/runner" ./wasm/idb
//
// The command passes on arguments, output as it comes, and the exit code, and uses a Chromium of its own on a fresh directory. Its flags stand
// before the program: -exec "runner -worker shared" runs in a SharedWorker, -chromium prints what Chromium says.
//
//	go test ─▶ runner ──starts──▶ Chromium ──▶ page ──▶ worker ──▶ Go program
//	              └─ http on loopback: page, worker.js, program.wasm, files, what Handle has added
//
// # What a program finds
//
//   - The imports of wasm/idb and wasm/socket: worker.ts lists them, and esbuild bundles it when the runner starts.
//
//   - Its files: all of the module, to be read; the working directory is that of the package. Nothing can be written.
//
//   - Of the environment only GODEBUG, GOTRACEBACK and names that begin with VSYNC_.
//
//   - vsyncTest in the global scope, for tests of what happens around a program:
//
//     vsyncTest.spawn(args, env)   starts this program once more in a worker of its own, and returns the Worker. It posts {fd, bytes} for what
//     is printed, and {code} at the end. (Not in a SharedWorker, which cannot start workers.)
//     vsyncTest.root               the server's URL
//
//   - POST /browser/clear           deletes all that the origin stores, as a user does in the settings; Chromium only
//
// # Handlers of other packages
//
// A package that needs a counterpart outside the browser, such as a peer for sockets, gives the command an http.Handler: a line in the map
// handlers of runner/main.go. Its tests reach it at location.origin, under the path that it is registered for.
package wasmtest
