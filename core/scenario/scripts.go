package scenario

import (
	"embed"
	"io/fs"
)

//go:embed scripts/*.txt
var scripts embed.FS

// All returns the scripts of this package, in the order of their names.
func All() ([]*Script, error) {
	files, err := fs.Glob(scripts, "scripts/*.txt")
	if err != nil {
		return nil, err
	}
	var list []*Script
	for _, file := range files {
		text, err := scripts.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := Parse(file, string(text))
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}
