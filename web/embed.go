// Package web holds the files that a hub serves to browsers, inside the binary.
//
//	static/   written by hand, committed: the page, its style, its script
//	dist/     written by ./build.sh wasm, never committed: the engine, the SDK, and what is compressed of both directories
//
//	Files() = static over dist
//
// A clean clone builds: dist holds a placeholder there, and the page alone is served.
package web

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"
)

//go:embed all:static all:dist
var embedded embed.FS

// Files returns what is to be served, the page as index.html. A name with an element that begins with
// a dot or an underscore is an instruction to some host, and does not exist here. Files can be seeked,
// so http.FileServerFS serves them.
func Files() fs.FS { return overlay{} }

// Encoded returns which files are there in compressed form too, as NAME.br and NAME.gz, and the SHA-256, in hex, of the content
// that these are of. Where it is not that of the file, they are left over from another build.
func Encoded() map[string]string {
	sums := map[string]string{}
	if text, err := embedded.ReadFile("dist/.encoded.json"); err == nil {
		_ = json.Unmarshal(text, &sums) // what cannot be read names nothing
	}
	return sums
}

// overlay looks into static first: what was written by hand is never older than what was built.
type overlay struct{}

func (overlay) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if hidden(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := embedded.Open(path.Join("static", name))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = embedded.Open(path.Join("dist", name))
	}
	return f, err
}

func hidden(name string) bool {
	if name == "." {
		return false
	}
	for element := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(element, ".") || strings.HasPrefix(element, "_") {
			return true
		}
	}
	return false
}
