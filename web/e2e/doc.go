// Package e2e holds the tests that drive what applications use, from their side: the SDK in pages of two real browsers, each
// with a directory and processes of its own, and between them the hub that users run, behind a network that is spoiled.
//
//	anna (Chromium) ── page ── SDK ── worker ─┐
//	                                          ├─▶ proxy ─▶ vsync serve     killed, cut off, started again
//	bert (Chromium) ── page ── SDK ── worker ─┘
//
// A test is an application of its own: it has a web server on a port of its own, and so an origin whose storage, workers and
// service worker are nobody else's. The server hands out page/, which is the application, and what the hub serves to browsers.
// What a test knows of writes and events it keeps in this process, outside of the browsers, which are killed.
//
// The browsers are those that VSYNC_BROWSER names: chromium, firefox or webkit. What only Chromium can be made to do is left out in others.
//
// The program is the one that VSYNC_BIN names; without it, one is built, of web/dist as it is: ./build.sh wasm fills that.
package e2e
