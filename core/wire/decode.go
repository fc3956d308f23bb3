package wire

import (
	"vsync/core/change"
	"vsync/core/fmt"
)

// DecodeUp reads a frame that a device sent to a hub. Byte strings of the message alias the frame.
// The error is a *ProtocolError.
func DecodeUp(frame []byte) (Message, error) { return decode(frame, true) }

// DecodeDown reads a frame that a hub sent to a device. Byte strings of the message alias the frame.
// The error is a *ProtocolError.
func DecodeDown(frame []byte) (Message, error) { return decode(frame, false) }

// decode reads the array around the message, and the message, and checks what it read.
func decode(frame []byte, up bool) (m Message, err error) {
	r := &reader{b: frame}
	if len(frame) > MaxFrame {
		r.fail(CodeTooLarge, "", -1, fmt.Sprintf("expected at most %d bytes, got %d", MaxFrame, len(frame)))
		return nil, r.err
	}
	if n := r.array(""); r.err == nil && n != 2 {
		r.fail(CodeProtocol, "", 0, fmt.Sprintf("expected an array of 2, got %d", n))
	}
	r.message()
	if up {
		m = decodeUp(r)
	} else {
		m = decodeDown(r)
	}
	if r.err == nil && r.off < len(r.b) {
		r.fail(CodeProtocol, "", r.off, fmt.Sprintf("expected the end, got %d more bytes", len(r.b)-r.off))
	}
	if r.err == nil {
		if f := m.check(); f != nil {
			r.fail(f.code, f.field, -1, f.problem)
			r.err.Err = f.err
		}
	}
	if r.err != nil {
		if p, ok := m.(*Push); ok && p.Gen <= change.MaxNumber {
			r.err.Gen = p.Gen
		}
		return nil, r.err
	}
	return m, nil
}

// message reads the type.
func (r *reader) message() {
	at := r.off
	n := r.uint("")
	if r.err != nil {
		return
	}
	if n > 255 {
		r.fail(CodeUnknownMessage, "", at, fmt.Sprintf("expected a message of this protocol, got number %d", n))
		return
	}
	r.typ = Type(n)
}

func decodeUp(r *reader) Message {
	switch r.typ {
	case TypeHello:
		return r.hello()
	case TypePush:
		return r.push()
	case TypeSeen:
		return r.seen()
	case TypeToken:
		return r.token()
	case TypePing:
		return r.ping()
	case TypeHandback:
		return r.handback()
	}
	r.unknown("expected a message to a hub")
	return nil
}

func decodeDown(r *reader) Message {
	switch r.typ {
	case TypeWelcome:
		return r.welcome()
	case TypeChanges:
		return r.changes()
	case TypeAccepted:
		return r.accepted()
	case TypeVoided:
		return r.voided()
	case TypePong:
		return r.pong()
	case TypeError:
		return r.error()
	case TypeBye:
		return r.bye()
	case TypeResend:
		return r.resend()
	case TypeHanded:
		return r.handed()
	}
	r.unknown("expected a message to a device")
	return nil
}

func (r *reader) unknown(want string) {
	if r.err != nil {
		return
	}
	r.fail(CodeUnknownMessage, "", -1, want+", got "+r.typ.String())
	if r.typ.Reserved() {
		r.err.Err = ErrReserved
	}
}

// Fields of one map: the key at hand and all keys met so far.
type fields struct {
	left int
	key  []byte
	met  int
	seen [MaxKeys]span
}

// A span is a place in the frame. An array of them, without pointers, stays off the heap.
type span struct{ from, to int32 }

func (r *reader) fields(field string) fields {
	n := r.mapping(field)
	if n > MaxKeys {
		r.fail(CodeTooLarge, field, r.off, fmt.Sprintf("expected at most %d keys, got %d", MaxKeys, n))
		n = 0
	}
	return fields{left: n}
}

// next moves to the next key, which must be a new one.
func (r *reader) next(f *fields) bool {
	if f.left == 0 || r.err != nil {
		return false
	}
	f.left--
	at := r.off
	f.key = r.strBytes("")
	if r.err == nil && r.met(f, string(f.key)) {
		r.fail(CodeProtocol, "", at, fmt.Sprintf("expected each key once, got %.32q again", string(f.key)))
	}
	f.seen[f.met] = span{int32(r.off - len(f.key)), int32(r.off)}
	f.met++
	return r.err == nil
}

// met reports whether the map had the key already.
func (r *reader) met(f *fields, key string) bool {
	for _, s := range f.seen[:f.met] {
		if string(r.b[s.from:s.to]) == key {
			return true
		}
	}
	return false
}

//go:noinline
func (r *reader) require(f *fields, keys ...string) {
	for _, key := range keys {
		if r.err == nil && !r.met(f, key) {
			r.fail(CodeProtocol, key, r.off, "expected it, got a message without")
		}
	}
}

func (r *reader) skipUnknown() { r.skip("", 0) }

func (r *reader) hello() *Hello {
	m := &Hello{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "p":
			m.Protocol = r.uint("p")
		case "db":
			m.Database = r.str("db", MaxDatabase)
		case "lin":
			m.Lineage = change.Lineage(r.bin16("lin"))
		case "dev":
			m.Device = change.DeviceID(r.bin16("dev"))
		case "tok":
			m.Token = r.str("tok", MaxToken)
		case "mk":
			m.Marker = r.marker()
		case "gen":
			m.Gen = change.Generation(r.uint("gen"))
		case "hash":
			m.Hash = change.Hash(r.bin16("hash"))
		case "own":
			m.Own = r.hashes("own")
		case "held":
			m.LowestHeld = change.Generation(r.uint("held"))
		case "credit":
			m.Credit = r.uint("credit")
		case "agent":
			m.Agent = r.str("agent", MaxAgent)
		case "trail":
			m.Trail = r.places("trail")
		case "back":
			m.Back = r.place("back")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "p", "db", "dev", "gen", "hash", "own", "held", "credit", "agent")
	return m
}

func (r *reader) welcome() *Welcome {
	m := &Welcome{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "p":
			m.Protocol = r.uint("p")
		case "lin":
			m.Lineage = change.Lineage(r.bin16("lin"))
		case "ep":
			m.Epoch = r.uint("ep")
		case "now":
			m.Now = r.uint("now")
		case "mode":
			m.Mode = Mode(r.str("mode", MaxCode))
		case "common":
			m.Common = change.Generation(r.uint("common"))
		case "last":
			m.Last = change.Generation(r.uint("last"))
		case "hash":
			m.Hash = change.Hash(r.bin16("hash"))
		case "head":
			m.Head = r.uint("head")
		case "mk":
			m.Marker = r.marker()
		case "lim":
			m.Limits = r.limits()
		case "beat":
			m.Beat = r.bool("beat")
		case "exp":
			m.Expires = r.uint("exp")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "p", "lin", "ep", "now", "mode", "common", "last", "hash", "head", "mk", "lim")
	return m
}

func (r *reader) limits() Limits {
	var l Limits
	f := r.fields("lim")
	r.outer = "lim."
	for r.next(&f) {
		switch string(f.key) {
		case "frame":
			l.Frame = r.limit("frame")
		case "value":
			l.Value = r.limit("value")
		case "batch":
			l.Batch = r.limit("batch")
		case "mutations":
			l.Mutations = r.limit("mutations")
		case "pushes":
			l.Pushes = r.limit("pushes")
		case "credit":
			l.Credit = r.limit("credit")
		default:
			r.skipUnknown()
		}
	}
	r.outer = ""
	return l.effective()
}

func (r *reader) limit(field string) uint64 {
	at := r.off
	n := r.uint(field)
	if r.err == nil && n == 0 {
		r.fail(CodeInvalid, field, at, "expected at least 1, got 0")
	}
	return n
}

func (r *reader) push() *Push {
	m := &Push{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "gen":
			m.Gen = change.Generation(r.uint("gen"))
		case "b":
			m.Batches = r.items("b")
		case "alone":
			m.Alone = r.bool("alone")
		case "part":
			m.Part.Index = r.uint("part")
		case "more":
			m.Part.More = r.bool("more")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "gen", "b")
	return m
}

func (r *reader) changes() *Changes {
	m := &Changes{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "seq":
			m.Seq = r.uint("seq")
		case "e":
			m.Entries = r.items("e")
		case "hash":
			m.Hash = change.Hash(r.bin16("hash"))
		case "part":
			m.Part.Index = r.uint("part")
		case "more":
			m.Part.More = r.bool("more")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "seq", "e", "hash")
	return m
}

func (r *reader) handback() *Handback {
	m := &Handback{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "seq":
			m.Seq = r.uint("seq")
		case "e":
			m.Entries = r.items("e")
		case "part":
			m.Part.Index = r.uint("part")
		case "more":
			m.Part.More = r.bool("more")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "seq", "e")
	return m
}

func (r *reader) handed() *Handed {
	m := &Handed{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "seq":
			m.Seq = r.uint("seq")
		case "n":
			m.Taken = r.uint("n")
		case "head":
			m.Head = r.place("head")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "seq", "n", "head")
	return m
}

func (r *reader) accepted() *Accepted {
	m := &Accepted{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "seq":
			m.Seq = r.uint("seq")
		case "gen":
			m.Gen = change.Generation(r.uint("gen"))
		case "a":
			m.Annotations = r.items("a")
		case "hash":
			m.Hash = change.Hash(r.bin16("hash"))
		case "part":
			m.Part.Index = r.uint("part")
		case "more":
			m.Part.More = r.bool("more")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "seq", "gen", "a", "hash")
	return m
}

func (r *reader) voided() *Voided {
	m := &Voided{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "seq":
			m.Seq = r.uint("seq")
		case "gen":
			m.Gen = change.Generation(r.uint("gen"))
		case "a":
			m.Annotation = r.bin("a")
		case "code":
			m.Code = Code(r.str("code", MaxCode))
		case "msg":
			m.Text = r.str("msg", MaxText)
		case "hash":
			m.Hash = change.Hash(r.bin16("hash"))
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "seq", "gen", "a", "code", "msg", "hash")
	return m
}

func (r *reader) seen() *Seen {
	m := &Seen{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "seq":
			m.Seq = r.uint("seq")
		case "hash":
			m.Hash = change.Hash(r.bin16("hash"))
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "seq")
	return m
}

func (r *reader) resend() *Resend {
	m := &Resend{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "gen":
			m.Gen = change.Generation(r.uint("gen"))
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "gen")
	return m
}

func (r *reader) ping() *Ping {
	m := &Ping{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "n":
			m.N = r.uint("n")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "n")
	return m
}

func (r *reader) pong() *Pong {
	m := &Pong{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "n":
			m.N = r.uint("n")
		case "now":
			m.Now = r.uint("now")
		case "exp":
			m.Expires = r.uint("exp")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "n", "now")
	return m
}

func (r *reader) token() *Token {
	m := &Token{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "tok":
			m.Token = r.str("tok", MaxToken)
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "tok")
	return m
}

func (r *reader) error() *Error {
	m := &Error{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "code":
			m.Code = Code(r.str("code", MaxCode))
		case "msg":
			m.Text = r.str("msg", MaxText)
		case "retry":
			m.Retry = r.uint("retry")
		case "gen":
			m.Gen = change.Generation(r.uint("gen"))
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "code", "msg")
	return m
}

func (r *reader) bye() *Bye {
	m := &Bye{}
	f := r.fields("")
	for r.next(&f) {
		switch string(f.key) {
		case "why":
			m.Why = Why(r.str("why", MaxCode))
		case "retry":
			m.Retry = r.uint("retry")
		default:
			r.skipUnknown()
		}
	}
	r.require(&f, "why", "retry")
	return m
}
