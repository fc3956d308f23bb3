package wire

import (
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/wire/msgpack"
)

// Append adds the frame of m to dst. The error is a *MessageError, and dst is returned as it was: m
// breaks a limit or a rule of PROTOCOL.md, or its frame would be larger than MaxFrame.
func Append(dst []byte, m Message) ([]byte, error) {
	if f := m.check(); f != nil {
		return dst, &MessageError{Message: m.Type(), Field: f.field, Problem: f.problem}
	}
	start := len(dst)
	b := append(dst, 0x92)
	b = msgpack.AppendUint(b, uint64(m.Type()))
	b = m.append(b)
	if n := len(b) - start; n > MaxFrame {
		return b[:start], &MessageError{Message: m.Type(), Problem: fmt.Sprintf("expected a frame of at most %d bytes, got %d: split it", MaxFrame, n)}
	}
	return b, nil
}

// Encoders below write the keys in the order of PROTOCOL.md's tables; decode.go reads them back.

func (m *Hello) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 9+count(!m.Lineage.IsZero(), m.Token != "", !m.Marker.IsZero(), len(m.Trail) > 0, m.Back.Seq > 0))
	b = keyUint(b, "p", m.Protocol)
	b = keyStr(b, "db", m.Database)
	if !m.Lineage.IsZero() {
		b = key16(b, "lin", m.Lineage)
	}
	b = key16(b, "dev", m.Device)
	if m.Token != "" {
		b = keyStr(b, "tok", m.Token)
	}
	if !m.Marker.IsZero() {
		b = keyMarker(b, m.Marker)
	}
	b = keyUint(b, "gen", uint64(m.Gen))
	b = key16(b, "hash", m.Hash)
	b = msgpack.AppendBinHeader(msgpack.AppendStr(b, "own"), len(m.Own)*change.HashSize)
	for i := range m.Own {
		b = append(b, m.Own[i][:]...)
	}
	b = keyUint(b, "held", uint64(m.LowestHeld))
	b = keyUint(b, "credit", m.Credit)
	b = keyStr(b, "agent", m.Agent)
	if len(m.Trail) > 0 {
		b = keyPlaces(b, "trail", m.Trail...)
	}
	if m.Back.Seq > 0 {
		b = keyPlaces(b, "back", m.Back)
	}
	return b
}

func (m *Welcome) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 11+count(m.Beat, m.Expires > 0))
	b = keyUint(b, "p", m.Protocol)
	b = key16(b, "lin", m.Lineage)
	b = keyUint(b, "ep", m.Epoch)
	b = keyUint(b, "now", m.Now)
	b = keyStr(b, "mode", string(m.Mode))
	b = keyUint(b, "common", uint64(m.Common))
	b = keyUint(b, "last", uint64(m.Last))
	b = key16(b, "hash", m.Hash)
	b = keyUint(b, "head", m.Head)
	b = keyMarker(b, m.Marker)
	b = m.Limits.effective().append(msgpack.AppendStr(b, "lim"))
	if m.Beat {
		b = msgpack.AppendBool(msgpack.AppendStr(b, "beat"), true)
	}
	if m.Expires > 0 {
		b = keyUint(b, "exp", m.Expires)
	}
	return b
}

func (l Limits) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 6)
	b = keyUint(b, "frame", l.Frame)
	b = keyUint(b, "value", l.Value)
	b = keyUint(b, "batch", l.Batch)
	b = keyUint(b, "mutations", l.Mutations)
	b = keyUint(b, "pushes", l.Pushes)
	return keyUint(b, "credit", l.Credit)
}

func (m *Push) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 2+m.Part.keys()+count(m.Alone))
	b = keyUint(b, "gen", uint64(m.Gen))
	b = keyItems(b, "b", m.Batches)
	b = m.Part.append(b)
	if m.Alone {
		b = msgpack.AppendBool(msgpack.AppendStr(b, "alone"), true)
	}
	return b
}

func (m *Changes) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 3+m.Part.keys())
	b = keyUint(b, "seq", m.Seq)
	b = keyItems(b, "e", m.Entries)
	b = key16(b, "hash", m.Hash)
	return m.Part.append(b)
}

func (m *Handback) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 2+m.Part.keys())
	b = keyUint(b, "seq", m.Seq)
	b = keyItems(b, "e", m.Entries)
	return m.Part.append(b)
}

func (m *Handed) append(b []byte) []byte {
	return keyPlaces(keyUint(keyUint(msgpack.AppendMap(b, 3), "seq", m.Seq), "n", m.Taken), "head", m.Head)
}

func (m *Accepted) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 4+m.Part.keys())
	b = keyUint(b, "seq", m.Seq)
	b = keyUint(b, "gen", uint64(m.Gen))
	b = keyItems(b, "a", m.Annotations)
	b = key16(b, "hash", m.Hash)
	return m.Part.append(b)
}

// keys returns how many keys append writes: a whole message has neither.
func (p Part) keys() int { return count(p.Split(), p.More) }

func (p Part) append(b []byte) []byte {
	if p.Split() {
		b = keyUint(b, "part", p.Index)
	}
	if p.More {
		b = msgpack.AppendBool(msgpack.AppendStr(b, "more"), true)
	}
	return b
}

func (m *Voided) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 6)
	b = keyUint(b, "seq", m.Seq)
	b = keyUint(b, "gen", uint64(m.Gen))
	b = msgpack.AppendBin(msgpack.AppendStr(b, "a"), m.Annotation)
	b = keyStr(b, "code", string(m.Code))
	b = keyStr(b, "msg", m.Text)
	return key16(b, "hash", m.Hash)
}

func (m *Seen) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 1+count(!m.Hash.IsZero()))
	b = keyUint(b, "seq", m.Seq)
	if !m.Hash.IsZero() {
		b = key16(b, "hash", m.Hash)
	}
	return b
}

func (m *Resend) append(b []byte) []byte {
	return keyUint(msgpack.AppendMap(b, 1), "gen", uint64(m.Gen))
}

func (m *Token) append(b []byte) []byte { return keyStr(msgpack.AppendMap(b, 1), "tok", m.Token) }

func (m *Ping) append(b []byte) []byte { return keyUint(msgpack.AppendMap(b, 1), "n", m.N) }

func (m *Pong) append(b []byte) []byte {
	b = keyUint(keyUint(msgpack.AppendMap(b, 2+count(m.Expires > 0)), "n", m.N), "now", m.Now)
	if m.Expires > 0 {
		b = keyUint(b, "exp", m.Expires)
	}
	return b
}

func (m *Error) append(b []byte) []byte {
	b = msgpack.AppendMap(b, 2+count(m.Retry > 0, m.Gen > 0))
	b = keyStr(b, "code", string(m.Code))
	b = keyStr(b, "msg", m.Text)
	if m.Retry > 0 {
		b = keyUint(b, "retry", m.Retry)
	}
	if m.Gen > 0 {
		b = keyUint(b, "gen", uint64(m.Gen))
	}
	return b
}

func (m *Bye) append(b []byte) []byte {
	return keyUint(keyStr(msgpack.AppendMap(b, 2), "why", string(m.Why)), "retry", m.Retry)
}

func keyUint(b []byte, key string, n uint64) []byte {
	return msgpack.AppendUint(msgpack.AppendStr(b, key), n)
}

func keyStr(b []byte, key, s string) []byte { return msgpack.AppendStr(msgpack.AppendStr(b, key), s) }

func key16(b []byte, key string, v [16]byte) []byte {
	return msgpack.AppendBin(msgpack.AppendStr(b, key), v[:])
}

func keyMarker(b []byte, m change.Marker) []byte {
	b = msgpack.AppendStr(b, "mk")
	at := len(b)
	b = m.Append(append(b, 0xc4, 0)) // MaxMarker bytes fit bin8
	b[at+1] = byte(len(b) - at - 2)
	return b
}

func keyPlaces(b []byte, key string, places ...change.Place) []byte {
	b = msgpack.AppendBinHeader(msgpack.AppendStr(b, key), len(places)*placeSize)
	for _, p := range places {
		b = append(binary.BigEndian.AppendUint64(b, p.Seq), p.Hash[:]...)
	}
	return b
}

func keyItems(b []byte, key string, items [][]byte) []byte {
	b = msgpack.AppendArray(msgpack.AppendStr(b, key), len(items))
	for _, item := range items {
		b = msgpack.AppendBin(b, item)
	}
	return b
}

// count returns how many of the optional fields are there.
func count(there ...bool) (n int) {
	for _, t := range there {
		if t {
			n++
		}
	}
	return n
}
