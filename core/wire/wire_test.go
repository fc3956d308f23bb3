package wire

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"vsync/core/change"
)

func decoder(up bool) func([]byte) (Message, error) {
	if up {
		return DecodeUp
	}
	return DecodeDown
}

func mustAppend(t testing.TB, m Message) []byte {
	t.Helper()
	frame, err := Append(nil, m)
	if err != nil {
		t.Fatalf("Append(%v): %v", m.Type(), err)
	}
	return frame
}

func TestEveryMessageComesBackAsItWent(t *testing.T) {
	for _, s := range samples() {
		frame := mustAppend(t, s.message)
		got, err := decoder(s.up)(frame)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if !reflect.DeepEqual(got, s.message) {
			t.Errorf("%s:\n got %+v\nwant %+v", s.name, got, s.message)
		}
		if _, err := decoder(!s.up)(frame); codeOf(err) != CodeUnknownMessage {
			t.Errorf("%s at the other end: %v", s.name, err)
		}
	}
}

func codeOf(err error) Code {
	var wrong *ProtocolError
	if errors.As(err, &wrong) {
		return wrong.Code
	}
	return ""
}

func TestEveryWayToBeWrongHasItsCode(t *testing.T) {
	names := map[string]bool{}
	for _, w := range wrongs() {
		if names[w.name] {
			t.Errorf("two frames are called %q", w.name)
		}
		names[w.name] = true
		m, err := decoder(w.up)(w.frame)
		if m != nil || codeOf(err) != w.code {
			t.Errorf("%s: expected %s, got %v, %v", w.name, w.code, m, err)
			continue
		}
		var wrong *ProtocolError
		errors.As(err, &wrong)
		if _, err := Append(nil, wrong.Answer()); err != nil {
			t.Errorf("%s: the answer cannot be sent: %v", w.name, err)
		}
	}
}

func TestEveryFrameCutShortIsRefused(t *testing.T) {
	for _, s := range samples() {
		frame := mustAppend(t, s.message)
		for n := range frame {
			if _, err := decoder(s.up)(frame[:n:n]); codeOf(err) != CodeProtocol {
				t.Fatalf("%s cut to %d of %d bytes: %v", s.name, n, len(frame), err)
			}
		}
	}
}

func TestLooseFormsAreUnderstood(t *testing.T) {
	for _, l := range looses() {
		m, err := decoder(l.up)(l.frame)
		if err != nil {
			t.Errorf("%s: %v", l.name, err)
			continue
		}
		if bytes.Equal(mustAppend(t, m), l.frame) {
			t.Errorf("%s: the frame is in our own form", l.name)
		}
	}
}

func TestReservedMessagesSaySo(t *testing.T) {
	for typ := range typeNames {
		_, err := decoder(typ < 32)(frameOf(typ, nil))
		if errors.Is(err, ErrReserved) != typ.Reserved() {
			t.Errorf("%v (%d): %v", typ, typ, err)
		}
	}
	_, err := DecodeDown(frameOf(TypeWelcome, with(shapeOf(TypeWelcome), "mode", s("pages"))))
	if !errors.Is(err, ErrReserved) {
		t.Errorf("mode pages: %v", err)
	}
}

func TestFrameLimit(t *testing.T) {
	full := &Changes{Seq: 1, Entries: [][]byte{make([]byte, MaxFrame-envelope)}, Hash: change.Hash{1}}
	frame := mustAppend(t, full)
	full.Entries[0] = make([]byte, MaxFrame-envelope+MaxFrame-len(frame))
	frame = mustAppend(t, full)
	if len(frame) != MaxFrame {
		t.Fatalf("expected a frame of %d bytes, got %d", MaxFrame, len(frame))
	}
	if _, err := DecodeDown(frame); err != nil {
		t.Errorf("a frame of exactly the limit: %v", err)
	}
	if _, err := DecodeDown(append(frame, 0)); codeOf(err) != CodeTooLarge {
		t.Errorf("a frame over the limit: %v", err)
	}
	full.Entries = append(full.Entries, []byte{1})
	before := []byte("before")
	got, err := Append(before, full)
	var mine *MessageError
	if !errors.As(err, &mine) || mine.Message != TypeChanges || string(got) != "before" {
		t.Errorf("a message over the limit: %q, %v", got, err)
	}
}

func TestWhatMayNotComeMayNotGo(t *testing.T) {
	hello := samples()[1].message.(*Hello)
	for name, m := range map[string]Message{
		"hello.dev":   &Hello{Protocol: 1, Database: "x", LowestHeld: 1, Credit: 1},
		"hello.tok":   func() Message { m := *hello; m.Token = strings.Repeat("x", MaxToken+1); return &m }(),
		"hello.own":   func() Message { m := *hello; m.Own = make([]change.Hash, MaxOwn+1); return &m }(),
		"hello.mk":    func() Message { m := *hello; m.Marker.Seq = math.MaxUint64; return &m }(),
		"push.b":      &Push{Gen: 1},
		"push.gen":    &Push{Batches: [][]byte{{1}}},
		"changes.seq": &Changes{Seq: math.MaxUint64, Entries: [][]byte{{1}}},
		"voided.code": &Voided{Seq: 1, Gen: 1, Annotation: make([]byte, 18)},
		"error.msg":   &Error{Code: CodeInternal, Text: "\xff"},
		"bye.why":     &Bye{},
		"welcome.mk":  &Welcome{Protocol: 1, Lineage: change.Lineage{1}, Epoch: 1, Mode: ModeReplay},
	} {
		var mine *MessageError
		if _, err := Append(nil, m); !errors.As(err, &mine) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodedBytesCannotGrowIntoTheFrame(t *testing.T) {
	frame := mustAppend(t, &Push{Gen: 1, Batches: [][]byte{{1}, {2}}})
	want := bytes.Clone(frame)
	m, err := DecodeUp(frame)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(m.(*Push).Batches[0], 9, 9, 9, 9)
	if !bytes.Equal(frame, want) {
		t.Error("appending to a decoded batch wrote into its neighbour")
	}
}

func TestALongListDoesNotAllocateBeforeItIsThere(t *testing.T) {
	frame := frameOf(TypePush, with(shapeOf(TypePush), "b", append(raw{0xdd, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 64)...)))
	if n := testing.AllocsPerRun(10, func() { DecodeUp(frame) }); n > 12 {
		t.Errorf("refusing it took %v allocations", n)
	}
}

func TestSplitAnnotation(t *testing.T) {
	ann, mac, ok := SplitAnnotation(append([]byte{0, 5}, bytes.Repeat([]byte{9}, 16)...))
	if !ok || !bytes.Equal(ann, []byte{0, 5}) || mac != change.Hash(bytes.Repeat([]byte{9}, 16)) {
		t.Errorf("got %x, %v, %v", ann, mac, ok)
	}
	if _, _, ok := SplitAnnotation(make([]byte, 17)); ok {
		t.Error("17 bytes passed")
	}
}

func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	text := cutText(strings.Repeat("x", MaxText-1) + "ü")
	if len(text) != MaxText-1 {
		t.Errorf("cut to %d bytes", len(text))
	}
}

func TestPushBudget(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   int
	}{{Limits{}, FrameBudget}, {DefaultLimits(), FrameBudget}, {Limits{Frame: 5000}, 5000}} {
		if got := c.limits.PushBudget(); got != c.want {
			t.Errorf("%+v: expected %d, got %d", c.limits, c.want, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(mustAppend(f, s.message))
	}
	for _, w := range wrongs() {
		if len(w.frame) < 4096 {
			f.Add([]byte(w.frame))
		}
	}
	for _, l := range looses() {
		f.Add(l.frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, up := range []bool{true, false} {
			m, err := decoder(up)(frame)
			var wrong *ProtocolError
			switch {
			case errors.As(err, &wrong):
				mustAppend(t, wrong.Answer())
			case err != nil:
				t.Fatalf("an error of type %T: %v", err, err)
			default:
				stable(t, up, m)
			}
		}
	})
}

// stable checks that m encodes, and that its frame decodes to m again.
func stable(t *testing.T, up bool, m Message) {
	frame := mustAppend(t, m)
	again, err := decoder(up)(frame)
	if err != nil {
		t.Fatalf("our own frame %x: %v", frame, err)
	}
	if !reflect.DeepEqual(m, again) {
		t.Fatalf("not stable:\n%+v\n%+v", m, again)
	}
	if !bytes.Equal(frame, mustAppend(t, again)) {
		t.Fatal("the second frame differs from the first")
	}
}
