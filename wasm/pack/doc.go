//go:build !js

// Command pack makes a WebAssembly program that Go has linked smaller, in place:
//
//	pack FILE…
//	pack -lean DIRECTORY
//
// The second, before Go builds it, writes copies of two files of Go's library, each without the one function by which the linker is led to
// hundreds of others that an engine never calls, and DIRECTORY/overlay.json, for `go build -overlay`; see lean.go.
//
// The linker leaves out zeroes of the memory that a program begins with, wherever eight or more follow each other, and so cuts it into
// tens of thousands of segments. Each has a header,
//
//	0 | i32.const address | end | length | bytes
//
// whose address and length no compression can foresee: brotli needs more for them than for the zeroes that they save. pack puts
// segments together unless a long run of zeroes lies between them. The memory comes out the same, byte for byte.
//
// It also clears what tells in which line of which file an instruction stands: a tenth of an engine after compression. A trace of
// calls still names its functions; "?:0" stands where the line was. Nothing else in Go's runtime reads it. Of a function, runtime._func,
//
//	entryOff | nameOff | args | deferreturn | pcsp | pcfile | pcln | npcdata | cuOffset | startLine | funcID flag – nfuncdata | pcdata… | funcdata…
//
// that clears pcfile, pcln, cuOffset and startLine, and the bytes of runtime.pctab that no other field refers to. Where a table is not
// as Go 1.20 to 1.26 lay it out, pack refuses.
package main
