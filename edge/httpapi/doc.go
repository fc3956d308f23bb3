// Package httpapi is the hub's API over HTTP, for services that hold no replica: they read what is there, write batches, and follow what
// comes. It has no sockets and no files: hosts give it databases, and requests of any server of net/http.
//
//	GET  /v1/openapi.json          what this API is, for programs
//	GET  /v1/<database>/object     one object
//	GET  /v1/<database>/history    its versions, the newest first
//	GET  /v1/<database>/scan       a collection, page by page
//	GET  /v1/<database>/changes    what came behind a marker; waits for it
//	GET  /v1/<database>/export     everything at one moment, as NDJSON
//	POST /v1/<database>/batch      one atomic write
//
//	request ─▶ route ─▶ token ─▶ gate ─▶ database ─▶ core.Replica ─▶ JSON
//	              404     401 403   429                  409 410 …
//
// A token is the same as a device's: "Authorization: Bearer …". Values are JSON as change.ToJSON writes it: bytes are {"$bytes": "…"},
// dates {"$date": "…"}, and so on. An error is {"code", "message"}, with the codes of the protocol and of package core.
//
// A batch is judged, gets its place and is stored in one commit, as those of devices are; see core.Replica.WriteAs. What it "expect"s of
// an object are the versions that stood there when it was read ("frontier"): others there now are a conflict, which is answered
// with 409 and what is there. Without, it replaces whatever is there.
//
//	api.go      the table of routes, and what they have in common
//	gate.go     how many requests there are at the same time
//	read.go     object, history, scan
//	export.go   everything, line by line
//	changes.go  long polls
//	batch.go    writes
//	answer.go   JSON and errors
//	limits.go   every bound
//
// openapi.json says the same for programs; a test holds the two together.
package httpapi
