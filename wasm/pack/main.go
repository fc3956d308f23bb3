//go:build !js

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: pack FILE…\n       pack -lean DIRECTORY")
		os.Exit(2)
	}
	if os.Args[1] == "-lean" && len(os.Args) == 3 {
		if err := lean(os.Args[2]); err != nil {
			fmt.Fprintf(os.Stderr, "pack: %v\n", err)
			os.Exit(1)
		}
		return
	}
	for _, name := range os.Args[1:] {
		if err := packFile(name); err != nil {
			fmt.Fprintf(os.Stderr, "pack: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func packFile(name string) error {
	program, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	packed, err := pack(program)
	if err != nil {
		return err
	}
	return os.WriteFile(name, packed, 0o755)
}

func pack(program []byte) ([]byte, error) {
	sections, err := readSections(program)
	if err != nil {
		return nil, err
	}
	at, functions := -1, 0
	for i, s := range sections {
		switch s.id {
		case sectionCode:
			functions, _ = uvarint(&reader{left: s.body})
		case sectionData:
			at = i
		}
	}
	if at < 0 {
		return nil, errors.New("expected a section of data, and it has none")
	}
	memory, err := readData(sections[at].body)
	if err != nil {
		return nil, err
	}
	if err := clearLines(memory, functions); err != nil {
		return nil, err
	}
	sections[at].body = appendData(nil, memory)
	again, err := readData(sections[at].body)
	if err != nil || !bytes.Equal(again, bytes.TrimRight(memory, "\x00")) {
		return nil, fmt.Errorf("the memory would not come out the same (%v)", err)
	}
	return appendSections(nil, sections), nil
}
