//go:build !js

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// module makes a program with one function and a memory that holds Go's table for it, then what is given.
func module(t *testing.T, fill ...byte) (program, memory []byte) {
	t.Helper()
	le := binary.LittleEndian
	// Run 1 is of the frame's size, run 4 of lines, run 7 of what is inlined.
	pctab := []byte{0, 2, 1, 0, 4, 1, 0, 6, 1, 0}
	f := make([]byte, funcSize+4)
	le.PutUint32(f[funcPcsp:], 1)
	le.PutUint32(f[funcPcfile:], 4)
	le.PutUint32(f[funcPcln:], 4)
	le.PutUint32(f[funcNpcdata:], 1)
	le.PutUint32(f[funcCuOffset:], 5)
	le.PutUint32(f[funcStartLine:], 6)
	le.PutUint32(f[funcSize:], 7)
	header := append(bytes.Clone(pcHeader), make([]byte, headerSize-len(pcHeader))...)
	le.PutUint64(header[headerFunctions:], 1)
	le.PutUint64(header[headerPctab:], headerSize)
	le.PutUint64(header[headerPclntab:], headerSize+uint64(len(pctab)))
	entry := le.AppendUint32(le.AppendUint32(nil, 0), entrySize)

	memory = append(make([]byte, 3*gap), header...)
	memory = append(append(append(append(memory, pctab...), entry...), f...), fill...)
	// As the linker does it: a segment for each byte that is not zero, and not in order.
	var data []byte
	count := 0
	for at := len(memory) - 1; at >= 0; at-- {
		if memory[at] != 0 {
			data = append(appendSvarint(append(data, 0, opI32Const), at), opEnd, 1, memory[at])
			count++
		}
	}
	return appendSections(nil, []section{
		{0, []byte("\x04name of its own")},
		{sectionCode, []byte{1, 2, 0, 0x0b}},
		{sectionData, append(binary.AppendUvarint(nil, uint64(count)), data...)},
		{0, []byte("\x01x")},
	}), memory
}

func TestMemoryIsTheSameButForLines(t *testing.T) {
	far := append(make([]byte, 2*gap), 7, 0, 8)
	program, memory := module(t, far...)
	packed, err := pack(program)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readSections(program)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSections(packed)
	if err != nil || len(got) != len(want) {
		t.Fatalf("expected %d sections, got %d (%v)", len(want), len(got), err)
	}
	for i, s := range got {
		if s.id != want[i].id || s.id != sectionData && !bytes.Equal(s.body, want[i].body) {
			t.Errorf("section %d is another: %v", i, s)
		}
	}
	if segments := got[2].body[0]; segments != 2 {
		t.Errorf("expected a segment before and one behind the long run of zeroes, got %d", segments)
	}
	at := bytes.Index(memory, pcHeader)
	clear(memory[at+headerSize+4:][:2]) // the run of lines
	f := memory[at+headerSize+10+entrySize:]
	clear(f[funcPcfile:][:8])
	clear(f[funcCuOffset:][:8])
	if after, err := readData(got[2].body); err != nil || !bytes.Equal(after, memory) {
		t.Errorf("the memory is another (%v):\n%v\n%v", err, after, memory)
	}
}

func TestRefusesWhatIsDamaged(t *testing.T) {
	program, _ := module(t, 7)
	for n := range program {
		if _, err := pack(program[:n]); err == nil && n != len(program)-4 { // without its last section it is whole
			t.Errorf("took a program cut to %d of %d bytes", n, len(program))
		}
		for _, bit := range []byte{1, 0x80} {
			damaged := bytes.Clone(program)
			damaged[n] ^= bit
			pack(damaged) // it may still be a program; it must not panic
		}
	}
	other := bytes.Replace(program, []byte{opEnd, 1, pcHeader[0]}, []byte{opEnd, 1, pcHeader[0] - 1}, 1)
	if _, err := pack(other); err == nil {
		t.Error("took a table of another version")
	}
}

// A real program runs as before, and its traces name functions. Of Go's library it has what it calls; a time is written as a number.
func TestProgramRuns(t *testing.T) {
	dir := t.TempDir()
	program, overlay := filepath.Join(dir, "traces.wasm"), filepath.Join(dir, "lean", "overlay.json")
	if err := lean(filepath.Dir(overlay)); err != nil {
		t.Fatal(err)
	}
	var files struct{ Replace map[string]string }
	if text, err := os.ReadFile(overlay); err != nil || json.Unmarshal(text, &files) != nil || len(files.Replace) != 5 {
		t.Errorf("expected 5 files to be lean, got %v (%v)", files.Replace, err)
	}
	goTool(t, "build", "-overlay", overlay, "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/traces")
	before, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := packFile(program); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(filepath.Join(runtime.GOROOT(), "lib/wasm/go_js_wasm_exec"), program)
	printed, err := run.CombinedOutput()
	want := strings.Repeat("deep 20001\n", 4) + "names true\nplace ? 0\ntime 5 s, a minute 1m0s\n"
	if err != nil || string(printed) != want {
		t.Fatalf("of %d bytes, packed: expected\n%s\ngot (%v)\n%s", before.Size(), want, err, printed)
	}
}

func goTool(t *testing.T, args ...string) {
	t.Helper()
	tool := exec.Command("go", args...)
	tool.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if printed, err := tool.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, printed)
	}
}
