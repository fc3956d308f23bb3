package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

var update = flag.Bool("update", false, "write ../vectors/wire.json anew")

const vectorsFile = "../vectors/wire.json"

// The vectors are read by Go and JavaScript. JSON forms are made by a msgpack library that shares no
// code with this package, so a codec that is wrong both ways is found.
type vectors struct {
	About  string        `json:"about"`
	Frames []frameVector `json:"frames"` // right, and in the form that encoders here write
	Loose  []looseVector `json:"loose"`  // right, in another form
	Wrong  []wrongVector `json:"wrong"`  // refused with the code
}

type frameVector struct {
	Name    string          `json:"name"`
	To      string          `json:"to"` // hub, device
	Message string          `json:"message"`
	Frame   string          `json:"frame"`
	JSON    json.RawMessage `json:"json"`
}

type looseVector struct {
	Name  string `json:"name"`
	To    string `json:"to"`
	Frame string `json:"frame"`
	Same  string `json:"same"` // the frame that encoders here write for it
}

type wrongVector struct {
	Name  string `json:"name"`
	To    string `json:"to"`
	Frame string `json:"frame"`
	Code  Code   `json:"code"`
}

// longestVector keeps the file small: what is wrong by its size alone is tested here only.
const longestVector = 1024

func makeVectors(t *testing.T) vectors {
	v := vectors{About: "Frames of the wire protocol, as hexadecimal bytes. JSON form: [type, body], integers as numbers, bin as {\"bin\": hex}. See core/wire/PROTOCOL.md."}
	for _, s := range samples() {
		frame := mustAppend(t, s.message)
		v.Frames = append(v.Frames, frameVector{s.name, receiver(s.up), s.message.Type().String(), hex.EncodeToString(frame), jsonForm(t, frame)})
	}
	for _, l := range looses() {
		m, err := decoder(l.up)(l.frame)
		if err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		v.Loose = append(v.Loose, looseVector{l.name, receiver(l.up), hex.EncodeToString(l.frame), hex.EncodeToString(mustAppend(t, m))})
	}
	for _, w := range wrongs() {
		if len(w.frame) <= longestVector {
			v.Wrong = append(v.Wrong, wrongVector{w.name, receiver(w.up), hex.EncodeToString(w.frame), w.code})
		}
	}
	return v
}

func receiver(up bool) string {
	if up {
		return "hub"
	}
	return "device"
}

// jsonForm reads msgpack, keeping the order of maps.
func jsonForm(t *testing.T, frame []byte) json.RawMessage {
	t.Helper()
	d := msgpack.NewDecoder(bytes.NewReader(frame))
	var b bytes.Buffer
	if err := writeJSON(&b, d); err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, d *msgpack.Decoder) error {
	c, err := d.PeekCode()
	if err != nil {
		return err
	}
	switch {
	case c >= 0x80 && c <= 0x8f || c == 0xde:
		n, err := d.DecodeMapLen()
		return writeList(b, n, "{}", err, func() error {
			if err := writeJSON(b, d); err != nil {
				return err
			}
			b.WriteByte(':')
			return writeJSON(b, d)
		})
	case c >= 0x90 && c <= 0x9f || c == 0xdc:
		n, err := d.DecodeArrayLen()
		return writeList(b, n, "[]", err, func() error { return writeJSON(b, d) })
	}
	if c >= 0xc4 && c <= 0xc6 {
		data, err := d.DecodeBytes()
		fmt.Fprintf(b, `{"bin":"%x"}`, data)
		return err
	}
	v, err := d.DecodeInterface()
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	b.Write(text)
	return err
}

func writeList(b *bytes.Buffer, n int, around string, err error, one func() error) error {
	b.WriteByte(around[0])
	for i := 0; i < n && err == nil; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		err = one()
	}
	b.WriteByte(around[1])
	return err
}

// encodeVectors writes one vector a line.
func encodeVectors(t *testing.T, v vectors) []byte {
	t.Helper()
	line := func(x any) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(x); err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimSpace(b.Bytes()))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\"about\": %s,\n", line(v.About))
	list := func(name string, n int, at func(int) any, end string) {
		fmt.Fprintf(&b, "%q: [\n", name)
		for i := range n {
			b.WriteString(line(at(i)))
			if i < n-1 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
		}
		b.WriteString("]" + end + "\n")
	}
	list("frames", len(v.Frames), func(i int) any { return v.Frames[i] }, ",")
	list("loose", len(v.Loose), func(i int) any { return v.Loose[i] }, ",")
	list("wrong", len(v.Wrong), func(i int) any { return v.Wrong[i] }, "")
	b.WriteString("}\n")
	return b.Bytes()
}

func TestVectorsAreCurrent(t *testing.T) {
	want := encodeVectors(t, makeVectors(t))
	if *update {
		if err := os.WriteFile(vectorsFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code makes; if the protocol was to change: go test ./core/wire -run Vectors -update", vectorsFile)
	}
}

// The file is judged as another implementation would judge it, knowing nothing of how it was made.
func TestVectorsAreJudgedRight(t *testing.T) {
	data, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	judge := func(to, frame string) (Message, error) {
		b, err := hex.DecodeString(frame)
		if err != nil {
			t.Fatal(err)
		}
		return decoder(to == "hub")(b)
	}
	for _, f := range v.Frames {
		m, err := judge(f.To, f.Frame)
		if err != nil || m.Type().String() != f.Message || hex.EncodeToString(mustAppend(t, m)) != f.Frame {
			t.Errorf("%s: %v, %v", f.Name, m, err)
		}
	}
	for _, l := range v.Loose {
		if m, err := judge(l.To, l.Frame); err != nil || hex.EncodeToString(mustAppend(t, m)) != l.Same {
			t.Errorf("%s: %v, %v", l.Name, m, err)
		}
	}
	for _, w := range v.Wrong {
		if _, err := judge(w.To, w.Frame); codeOf(err) != w.Code {
			t.Errorf("%s: expected %s, got %v", w.Name, w.Code, err)
		}
	}
	if len(v.Frames) < 25 || len(v.Loose) < 8 || len(v.Wrong) < 200 {
		t.Errorf("only %d, %d and %d vectors", len(v.Frames), len(v.Loose), len(v.Wrong))
	}
}
