package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"vsync/core/change"
	"vsync/core/wire/msgpack"
)

// A sample is a message that is right, of a direction.
type sample struct {
	name    string
	up      bool
	message Message
}

func fill16(c byte) (v [16]byte) {
	for i := range v {
		v[i] = c + byte(i)
	}
	return v
}

func samples() []sample {
	device, lineage := change.DeviceID(fill16(0x10)), change.Lineage(fill16(0x80))
	h := func(c byte) change.Hash { return change.Hash(fill16(c)) }
	marker := change.Marker{Epoch: 2, Seq: 70, Hash: h(0x21)}
	annotation := append([]byte{0, 1}, bytes.Repeat([]byte{0xaa}, 16)...)
	return []sample{
		{"hello, a new replica", true, &Hello{Protocol: 1, Database: "notes", Device: device, LowestHeld: 1, Credit: DefaultCredit}},
		{"hello, everything", true, &Hello{
			Protocol: 1, Database: "a.b-c_0", Lineage: lineage, Device: device, Token: "secret",
			Marker: marker, Gen: 3, Hash: h(3), Own: []change.Hash{h(4), h(5)}, LowestHeld: 2, Credit: 1, Agent: "vsync-go/1 ü",
		}},
		{"hello, whose marker the hub did not know", true, &Hello{
			Protocol: 1, Database: "notes", Lineage: lineage, Device: device, Marker: marker, LowestHeld: 1, Credit: DefaultCredit,
			Trail: []change.Place{{Seq: 60, Hash: h(6)}, {Seq: 1, Hash: h(1)}, {}},
		}},
		{"hello, after handing back", true, &Hello{
			Protocol: 1, Database: "notes", Lineage: lineage, Device: device, Marker: marker, LowestHeld: 1, Credit: DefaultCredit,
			Trail: []change.Place{{}}, Back: change.Place{Seq: 75, Hash: h(7)},
		}},
		{"handback", true, &Handback{Seq: 61, Entries: [][]byte{{1, 1, 0}, {2}}}},
		{"handback, first part", true, &Handback{Seq: 61, Entries: [][]byte{{1}}, Part: Part{More: true}}},
		{"handback, last part", true, &Handback{Seq: 61, Entries: [][]byte{{1}}, Part: Part{Index: 1}}},
		{"push, one batch", true, &Push{Gen: 1, Batches: [][]byte{{1, 2, 3}}}},
		{"push, two batches", true, &Push{Gen: 300, Batches: [][]byte{{1}, bytes.Repeat([]byte{7}, 300)}}},
		{"push, first part", true, &Push{Gen: 5, Batches: [][]byte{{1}}, Part: Part{More: true}}},
		{"push, middle part", true, &Push{Gen: 5, Batches: [][]byte{{2}}, Part: Part{Index: 1, More: true}}},
		{"push, last part", true, &Push{Gen: 5, Batches: [][]byte{{3}}, Part: Part{Index: 2}}},
		{"push, alone", true, &Push{Gen: 6, Batches: [][]byte{{1}}, Alone: true}},
		{"push, alone, last part", true, &Push{Gen: 6, Batches: [][]byte{{1}}, Part: Part{Index: 3}, Alone: true}},
		{"push, the last generation there is", true, &Push{Gen: change.MaxNumber, Batches: [][]byte{{1}}}},
		{"seen", true, &Seen{Seq: 70000}},
		{"seen, nothing", true, &Seen{}},
		{"seen, with hash", true, &Seen{Seq: 70, Hash: h(9)}},
		{"ping", true, &Ping{N: 1 << 33}},
		{"token", true, &Token{Token: "a.b.c"}},
		{"welcome, resume", false, &Welcome{
			Protocol: 1, Lineage: lineage, Epoch: 2, Now: 1_700_000_000_000, Mode: ModeResume,
			Common: 4, Last: 4, Hash: h(4), Head: 73, Marker: marker, Limits: DefaultLimits(),
		}},
		{"welcome, replay from the start", false, &Welcome{
			Protocol: 1, Lineage: lineage, Epoch: 1, Mode: ModeReplay, Marker: change.Marker{Epoch: 1},
			Limits: Limits{Frame: MinFrameBudget, Value: 1, Batch: 2, Mutations: 3, Pushes: 4, Credit: 5},
		}},
		{"welcome, with beats", false, &Welcome{
			Protocol: 1, Lineage: lineage, Epoch: 1, Mode: ModeResume, Marker: change.Marker{Epoch: 1}, Limits: DefaultLimits(), Beat: true,
		}},
		{"welcome, with a token that expires", false, &Welcome{
			Protocol: 1, Lineage: lineage, Epoch: 1, Mode: ModeResume, Marker: change.Marker{Epoch: 1}, Limits: DefaultLimits(), Expires: 1_700_000_360_000,
		}},
		{"changes, one entry", false, &Changes{Seq: 71, Entries: [][]byte{{1, 1, 0}}, Hash: h(0x30)}},
		{"changes, three entries", false, &Changes{Seq: 71, Entries: [][]byte{{1}, {2, 2}, bytes.Repeat([]byte{3}, 256)}, Hash: h(0x30)}},
		{"changes, first part", false, &Changes{Seq: 71, Entries: [][]byte{{1}}, Hash: h(0x30), Part: Part{More: true}}},
		{"changes, last part", false, &Changes{Seq: 71, Entries: [][]byte{{2}}, Hash: h(0x30), Part: Part{Index: 1}}},
		{"accepted", false, &Accepted{Seq: 72, Gen: 4, Annotations: [][]byte{annotation, annotation}, Hash: h(0x31)}},
		{"accepted, last part", false, &Accepted{Seq: 72, Gen: 4, Annotations: [][]byte{{9}}, Hash: h(0x31), Part: Part{Index: 7}}},
		{"voided", false, &Voided{Seq: 74, Gen: 5, Annotation: annotation, Code: CodeInvalid, Text: "the body hash differs", Hash: h(0x32)}},
		{"pong", false, &Pong{N: 7, Now: 1_700_000_000_000}},
		{"pong, to a token", false, &Pong{Now: 1_700_000_000_000, Expires: 1_700_000_360_000}},
		{"error", false, &Error{Code: CodeInternal, Text: "no more to say"}},
		{"error, everything", false, &Error{Code: "CODE_2_OF_TOMORROW", Text: "come back later", Retry: 5000, Gen: 9}},
		{"bye", false, &Bye{Why: WhyClosing, Retry: 1000}},
		{"bye, a reason of tomorrow", false, &Bye{Why: "tired"}},
		{"resend", false, &Resend{Gen: 5}},
		{"handed", false, &Handed{Seq: 62, Taken: 1, Head: change.Place{Seq: 75, Hash: h(7)}}},
		{"handed, nothing of it, by a hub that has nothing", false, &Handed{Seq: 1}},
	}
}

// raw is msgpack bytes written for a test, right or wrong.
type raw []byte

func u(n uint64) raw     { return msgpack.AppendUint(nil, n) }
func s(text string) raw  { return msgpack.AppendStr(nil, text) }
func bin(n int) raw      { return msgpack.AppendBin(nil, bytes.Repeat([]byte{1}, n)) }
func zeros(n int) raw    { return msgpack.AppendBin(nil, make([]byte, n)) }
func binOf(b []byte) raw { return msgpack.AppendBin(nil, b) }
func array(items ...raw) raw {
	return append(msgpack.AppendArray(nil, len(items)), bytes.Join(asBytes(items), nil)...)
}

func asBytes(items []raw) [][]byte {
	out := make([][]byte, len(items))
	for i, item := range items {
		out[i] = item
	}
	return out
}

var (
	rawNil  = raw{0xc0}
	rawTrue = raw{0xc3}
)

// A pair of a map; pairs keep their order and may repeat.
type pair struct {
	key   string
	value raw
}

// with returns pairs with key set to value, or left out for nil.
func with(pairs []pair, key string, value raw) []pair {
	var out []pair
	found := false
	for _, p := range pairs {
		if p.key == key {
			found = true
			if value != nil {
				out = append(out, pair{key, value})
			}
			continue
		}
		out = append(out, p)
	}
	if !found && value != nil {
		out = append(out, pair{key, value})
	}
	return out
}

func mapOf(pairs []pair) raw {
	var b raw
	if len(pairs) < 16 {
		b = raw{0x80 | byte(len(pairs))}
	} else {
		b = binary.BigEndian.AppendUint16(raw{0xde}, uint16(len(pairs)))
	}
	for _, p := range pairs {
		b = append(append(b, s(p.key)...), p.value...)
	}
	return b
}

func frameOf(t Type, pairs []pair) []byte { return array(u(uint64(t)), mapOf(pairs)) }

// A shape is a message with its required keys only, written out as in PROTOCOL.md.
type shape struct {
	typ      Type
	up       bool
	required []pair
	optional []pair
}

func shapes() []shape {
	annotation := bin(18)
	limits := mapOf(nil)
	marker := binOf(change.Marker{Epoch: 1}.Encode())
	return []shape{
		{TypeHello, true, []pair{{"p", u(1)}, {"db", s("notes")}, {"dev", bin(16)}, {"gen", u(1)}, {"hash", bin(16)}, {"own", zeros(0)}, {"held", u(1)}, {"credit", u(1)}, {"agent", s("")}},
			[]pair{{"lin", bin(16)}, {"tok", s("t")}, {"mk", marker}, {"trail", zeros(placeSize)}, {"back", zeros(placeSize)}}},
		{TypeHandback, true, []pair{{"seq", u(1)}, {"e", array(bin(1))}}, []pair{{"part", u(1)}, {"more", rawTrue}}},
		{TypePush, true, []pair{{"gen", u(1)}, {"b", array(bin(1))}}, []pair{{"part", u(1)}, {"more", rawTrue}}},
		{TypeSeen, true, []pair{{"seq", u(1)}}, []pair{{"hash", bin(16)}}},
		{TypePing, true, []pair{{"n", u(1)}}, nil},
		{TypeToken, true, []pair{{"tok", s("t")}}, nil},
		{TypeWelcome, false, []pair{{"p", u(1)}, {"lin", bin(16)}, {"ep", u(1)}, {"now", u(1)}, {"mode", s("resume")}, {"common", u(1)}, {"last", u(1)}, {"hash", bin(16)}, {"head", u(1)}, {"mk", marker}, {"lim", limits}}, nil},
		{TypeChanges, false, []pair{{"seq", u(1)}, {"e", array(bin(1))}, {"hash", bin(16)}}, []pair{{"part", u(1)}, {"more", rawTrue}}},
		{TypeAccepted, false, []pair{{"seq", u(1)}, {"gen", u(1)}, {"a", array(annotation)}, {"hash", bin(16)}}, []pair{{"part", u(1)}, {"more", rawTrue}}},
		{TypeVoided, false, []pair{{"seq", u(1)}, {"gen", u(1)}, {"a", annotation}, {"code", s("INVALID")}, {"msg", s("m")}, {"hash", bin(16)}}, nil},
		{TypePong, false, []pair{{"n", u(1)}, {"now", u(1)}}, []pair{{"exp", u(1)}}},
		{TypeError, false, []pair{{"code", s("INTERNAL")}, {"msg", s("m")}}, []pair{{"retry", u(1)}, {"gen", u(1)}}},
		{TypeBye, false, []pair{{"why", s("slow")}, {"retry", u(1)}}, nil},
		{TypeResend, false, []pair{{"gen", u(1)}}, nil},
		{TypeHanded, false, []pair{{"seq", u(1)}, {"n", u(1)}, {"head", zeros(placeSize)}}, nil},
	}
}

func shapeOf(t Type) []pair {
	for _, sh := range shapes() {
		if sh.typ == t {
			return sh.required
		}
	}
	panic(fmt.Sprint("no shape of ", t))
}

// A wrong frame, with the code to answer.
type wrong struct {
	name  string
	up    bool
	frame []byte
	code  Code
}

func wrongs() []wrong {
	list := append(wrongFrames(), wrongFields()...)
	for _, sh := range shapes() {
		for _, p := range sh.required {
			list = append(list, wrong{sh.typ.String() + " without " + p.key, sh.up, frameOf(sh.typ, with(sh.required, p.key, nil)), CodeProtocol})
		}
		for _, p := range append(sh.required, sh.optional...) {
			list = append(list,
				wrong{sh.typ.String() + " with nil as " + p.key, sh.up, frameOf(sh.typ, with(sh.required, p.key, rawNil)), CodeProtocol},
				wrong{sh.typ.String() + " with a float as " + p.key, sh.up, frameOf(sh.typ, with(sh.required, p.key, raw{0xca, 0x3f, 0x80, 0, 0})), CodeProtocol},
				wrong{sh.typ.String() + " with " + p.key + " twice", sh.up, frameOf(sh.typ, append(with(sh.required, p.key, p.value), p)), CodeProtocol},
			)
		}
	}
	return list
}

func wrongFrames() []wrong {
	ping := shapeOf(TypePing)
	many := make([]pair, 0, MaxKeys+1)
	for i := range MaxKeys {
		many = append(many, pair{fmt.Sprint("k", i), rawNil})
	}
	deep := append(bytes.Repeat([]byte{0x91}, MaxNesting), 0x90)
	list := []wrong{
		{"nothing", true, nil, CodeProtocol},
		{"nil", true, rawNil, CodeProtocol},
		{"a map", true, mapOf(nil), CodeProtocol},
		{"an empty array", true, array(), CodeProtocol},
		{"an array of one", true, array(u(7)), CodeProtocol},
		{"an array of three", true, array(u(7), mapOf(ping), rawNil), CodeProtocol},
		{"more behind the array", true, append(frameOf(TypePing, ping), 0xc0), CodeProtocol},
		{"an array of 2^32-1", true, raw{0xdd, 0xff, 0xff, 0xff, 0xff}, CodeProtocol},
		{"a map of 2^32-1", true, append(raw{0x92, 7, 0xdf, 0xff, 0xff, 0xff, 0xff}, make([]byte, 100)...), CodeProtocol},
		{"a string as type", true, array(s("ping"), mapOf(ping)), CodeProtocol},
		{"a negative type", true, array(raw{0xff}, mapOf(ping)), CodeProtocol},
		{"type 0", true, frameOf(0, nil), CodeUnknownMessage},
		{"type 99 to a hub", true, frameOf(99, nil), CodeUnknownMessage},
		{"type 99 to a device", false, frameOf(99, nil), CodeUnknownMessage},
		{"type 263, which is not 7", true, array(u(263), mapOf(ping)), CodeUnknownMessage},
		{"a pong to a hub", true, frameOf(TypePong, shapeOf(TypePong)), CodeUnknownMessage},
		{"a ping to a device", false, frameOf(TypePing, ping), CodeUnknownMessage},
		{"nil as body", true, array(u(7), rawNil), CodeProtocol},
		{"an array as body", true, array(u(7), array()), CodeProtocol},
		{"a number as key", true, array(u(7), raw{0x82, 0xa1, 'n', 1, 1, 1}), CodeProtocol},
		{"an unknown key twice", true, frameOf(TypePing, append(ping, pair{"x", rawNil}, pair{"x", rawNil})), CodeProtocol},
		{"65 keys", true, frameOf(TypePing, append(many, ping...)), CodeTooLarge},
		{"an unknown key with 65 arrays in each other", true, frameOf(TypePing, append(ping, pair{"x", deep})), CodeTooLarge},
		{"an unknown key without a value", true, array(u(7), raw{0x82, 0xa1, 'n', 1, 0xa1, 'x'}), CodeProtocol},
		{"an unknown key with 0xc1", true, frameOf(TypePing, append(ping, pair{"x", raw{0xc1}})), CodeProtocol},
		{"an unknown key with half a float", true, frameOf(TypePing, append(ping, pair{"x", raw{0xcb, 0, 0}})), CodeProtocol},
		{"an unknown key with half an extension", true, frameOf(TypePing, append(ping, pair{"x", raw{0xc7, 200, 1}})), CodeProtocol},
		{"a negative number", true, frameOf(TypePing, with(ping, "n", raw{0xd0, 0x80})), CodeProtocol},
		{"a number over 2^53-1", true, frameOf(TypePing, with(ping, "n", u(1<<53))), CodeInvalid},
		{"a number cut short", true, raw{0x92, 7, 0x81, 0xa1, 'n', 0xcf, 0, 0}, CodeProtocol},
	}
	for t := range Type(64) {
		if t.Reserved() {
			list = append(list, wrong{fmt.Sprintf("reserved %v (%d)", t, t), t < 32, frameOf(t, nil), CodeUnknownMessage})
		}
	}
	return list
}

func wrongFields() []wrong {
	var list []wrong
	add := func(name string, t Type, code Code, key string, value raw, more ...pair) {
		pairs := with(shapeOf(t), key, value)
		for _, p := range more {
			pairs = with(pairs, p.key, p.value)
		}
		list = append(list, wrong{name, t < 32, frameOf(t, pairs), code})
	}
	long := func(n int) raw { return s(strings.Repeat("x", n)) }
	latin := append(raw{0xa2}, 'a', 0xfc)
	markerOf := func(version byte) raw {
		b := change.Marker{Epoch: 1}.Encode()
		b[0] = version
		return binOf(b)
	}
	many := func(n int, item raw) raw {
		all := make([]raw, n)
		for i := range all {
			all[i] = item
		}
		return array(all...)
	}

	add("hello of version 0", TypeHello, CodeInvalid, "p", u(0))
	add("a database without a name", TypeHello, CodeInvalid, "db", s(""))
	add("a database's name with a slash", TypeHello, CodeInvalid, "db", s("a/b"))
	add("a database's name in capitals", TypeHello, CodeInvalid, "db", s("Notes"))
	add("a database's name of 65 bytes", TypeHello, CodeTooLarge, "db", long(MaxDatabase+1))
	add("a lineage of 15 bytes", TypeHello, CodeProtocol, "lin", bin(15))
	add("device zero", TypeHello, CodeInvalid, "dev", zeros(16))
	add("a device of 17 bytes", TypeHello, CodeProtocol, "dev", bin(17))
	add("a device as str", TypeHello, CodeProtocol, "dev", long(16))
	add("a token over its limit", TypeHello, CodeTooLarge, "tok", long(MaxToken+1))
	add("a token that is no UTF-8", TypeHello, CodeProtocol, "tok", latin)
	add("a marker of format 2", TypeHello, CodeUnknownMarker, "mk", markerOf(2))
	add("an empty marker", TypeHello, CodeUnknownMarker, "mk", zeros(0))
	add("a generation over 2^53-1", TypeHello, CodeInvalid, "gen", u(1<<53))
	add("a hash without a generation", TypeHello, CodeInvalid, "gen", u(0))
	add("own hashes of 17 bytes", TypeHello, CodeProtocol, "own", bin(17))
	add("4,097 own hashes", TypeHello, CodeTooLarge, "own", bin(16*(MaxOwn+1)))
	add("held from 0", TypeHello, CodeInvalid, "held", u(0))
	add("no credit", TypeHello, CodeInvalid, "credit", u(0))
	add("an agent over its limit", TypeHello, CodeTooLarge, "agent", long(MaxAgent+1))

	add("a trail of 23 bytes", TypeHello, CodeProtocol, "trail", zeros(23))
	add("a trail of 65 places", TypeHello, CodeTooLarge, "trail", zeros(65*placeSize))
	add("a trail that does not go back", TypeHello, CodeInvalid, "trail", zeros(2*placeSize))
	add("a trail over 2^53-1", TypeHello, CodeInvalid, "trail", binOf(bytes.Repeat([]byte{1}, placeSize)))
	add("no place as back", TypeHello, CodeProtocol, "back", zeros(0))
	add("two places as back", TypeHello, CodeProtocol, "back", zeros(2*placeSize))
	add("a hash behind no entry as back", TypeHello, CodeInvalid, "back", binOf(append(make([]byte, 8), bytes.Repeat([]byte{1}, placeSize-8)...)))
	add("back over 2^53-1", TypeHello, CodeInvalid, "back", binOf(bytes.Repeat([]byte{1}, placeSize)))
	add("handback from sequence 0", TypeHandback, CodeInvalid, "seq", u(0))
	add("handback of nothing", TypeHandback, CodeInvalid, "e", array())
	add("handback of an empty entry", TypeHandback, CodeInvalid, "e", array(zeros(0)))
	add("handback, a part of two pieces", TypeHandback, CodeInvalid, "e", array(bin(1), bin(1)), pair{"more", rawTrue})
	add("handback past the last sequence", TypeHandback, CodeInvalid, "seq", u(change.MaxNumber), pair{"e", array(bin(1), bin(1))})

	add("push from generation 0", TypePush, CodeInvalid, "gen", u(0))
	add("push of nothing", TypePush, CodeInvalid, "b", array())
	add("push of an empty batch", TypePush, CodeInvalid, "b", array(bin(1), zeros(0)))
	add("push of 4,097 batches", TypePush, CodeTooLarge, "b", many(MaxItems+1, bin(1)))
	add("push of strings", TypePush, CodeProtocol, "b", array(s("x")))
	add("push past the last generation", TypePush, CodeInvalid, "gen", u(change.MaxNumber), pair{"b", array(bin(1), bin(1))})
	add("push of more batches than bytes", TypePush, CodeProtocol, "b", raw{0xdd, 0, 1, 0, 0})
	add("push, a part of two pieces", TypePush, CodeInvalid, "b", array(bin(1), bin(1)), pair{"more", rawTrue})
	add("push, an empty piece", TypePush, CodeInvalid, "b", array(zeros(0)), pair{"part", u(1)})
	add("push, a part number over 2^53-1", TypePush, CodeInvalid, "part", u(1<<53))
	add("push, a number as more", TypePush, CodeProtocol, "more", u(1))
	add("push, a number as alone", TypePush, CodeProtocol, "alone", u(1))
	add("push, two batches alone", TypePush, CodeInvalid, "b", array(bin(1), bin(1)), pair{"alone", rawTrue})

	add("welcome of version 0", TypeWelcome, CodeInvalid, "p", u(0))
	add("lineage zero", TypeWelcome, CodeInvalid, "lin", zeros(16))
	add("epoch 0", TypeWelcome, CodeInvalid, "ep", u(0))
	add("mode pages, which is reserved", TypeWelcome, CodeUnknownMessage, "mode", s("pages"))
	add("mode of tomorrow", TypeWelcome, CodeInvalid, "mode", s("teleport"))
	add("more in common than there is", TypeWelcome, CodeInvalid, "common", u(2))
	add("a marker of epoch 0", TypeWelcome, CodeInvalid, "mk", append(raw{0xc4, 35, 1}, make([]byte, 34)...))
	add("a limit of 0", TypeWelcome, CodeInvalid, "lim", mapOf([]pair{{"pushes", u(0)}}))
	add("a limit as str", TypeWelcome, CodeProtocol, "lim", mapOf([]pair{{"pushes", s("1")}}))
	add("a limit twice", TypeWelcome, CodeProtocol, "lim", mapOf([]pair{{"pushes", u(1)}, {"pushes", u(1)}}))
	add("a frame limit under 4,096", TypeWelcome, CodeInvalid, "lim", mapOf([]pair{{"frame", u(4095)}}))

	add("changes from sequence 0", TypeChanges, CodeInvalid, "seq", u(0))
	add("changes without entries", TypeChanges, CodeInvalid, "e", array())
	add("changes past the last sequence", TypeChanges, CodeInvalid, "seq", u(change.MaxNumber), pair{"e", array(bin(1), bin(1))})
	add("accepted with 17 bytes", TypeAccepted, CodeInvalid, "a", array(bin(17)))
	add("accepted from generation 0", TypeAccepted, CodeInvalid, "gen", u(0))
	add("voided with 17 bytes", TypeVoided, CodeInvalid, "a", bin(17))
	add("voided with too much", TypeVoided, CodeTooLarge, "a", bin(MaxVoidAnnotation+1))
	add("voided with a code in small letters", TypeVoided, CodeInvalid, "code", s("invalid"))
	add("voided with a long text", TypeVoided, CodeTooLarge, "msg", long(MaxText+1))
	add("resend from 0", TypeResend, CodeInvalid, "gen", u(0))
	add("handed up to 0", TypeHanded, CodeInvalid, "seq", u(0))
	add("handed with half a head", TypeHanded, CodeProtocol, "head", zeros(12))
	add("error without a code", TypeError, CodeInvalid, "code", s(""))
	add("error with a long code", TypeError, CodeTooLarge, "code", s(strings.Repeat("X", MaxCode+1)))
	add("error text that is no UTF-8", TypeError, CodeProtocol, "msg", latin)
	add("bye without a reason", TypeBye, CodeInvalid, "why", s(""))
	add("bye with a long reason", TypeBye, CodeTooLarge, "why", long(MaxCode+1))
	return list
}

// A loose frame is right but not in the form that our encoders write.
type loose struct {
	name  string
	up    bool
	frame []byte
}

func looses() []loose {
	ping := shapeOf(TypePing)
	everything := pair{"x", array(
		mapOf([]pair{{"deep", array(array(s("x")))}}), rawNil, rawTrue, raw{0xca, 0, 0, 0, 0}, raw{0xcb, 0, 0, 0, 0, 0, 0, 0, 0},
		raw{0xe0}, raw{0xd0, 1}, raw{0xd1, 0, 1}, raw{0xd2, 0, 0, 0, 1}, raw{0xd3, 0, 0, 0, 0, 0, 0, 0, 1},
		u(200), u(70000), u(1<<40), bin(3), raw{0xd4, 1, 1}, raw{0xd5, 1, 1, 1}, raw{0xd6, 0xff, 0, 0, 0, 0},
		raw{0xc7, 2, 5, 1, 1}, raw{0xd9, 1, 'x'}, raw{0xdc, 0, 1, 0xc0}, raw{0xde, 0, 1, 1, 1}, raw{0xc5, 0, 1, 1},
	)}
	deep := append(bytes.Repeat([]byte{0x91}, MaxNesting), 0xc0)
	return []loose{
		{"unknown key with 64 arrays in each other", true, frameOf(TypePing, append(ping, pair{"x", deep}))},
		{"unknown key", true, frameOf(TypePing, append([]pair{everything}, ping...))},
		{"numbers in longer forms", true, raw{0xdc, 0, 2, 0xcf, 0, 0, 0, 0, 0, 0, 0, 7, 0xde, 0, 1, 0xd9, 1, 'n', 0xd3, 0, 0, 0, 0, 0, 0, 0, 5}},
		{"keys in another order", false, frameOf(TypePong, []pair{{"now", u(2)}, {"n", u(1)}})},
		{"part 0, which may be left out", true, frameOf(TypePush, append(shapeOf(TypePush), pair{"part", u(0)}, pair{"more", raw{0xc2}}))},
		{"first part without its number", true, frameOf(TypePush, append(shapeOf(TypePush), pair{"more", rawTrue}))},
		{"limits left out, too high and unknown", false, frameOf(TypeWelcome, with(shapeOf(TypeWelcome), "lim", mapOf([]pair{{"credit", u(9)}, {"frame", u(1 << 40)}, {"colour", s("red")}})))},
		{"retry 0", false, frameOf(TypeError, append(shapeOf(TypeError), pair{"retry", u(0)}))},
		{"zeros as hash", true, frameOf(TypeSeen, append(shapeOf(TypeSeen), pair{"hash", zeros(16)}))},
	}
}
