package wire

import (
	"unicode/utf8"

	"vsync/core/change"
	"vsync/core/fmt"
)

// A flaw is what a message may not have. The decoder makes a *ProtocolError of it, the encoder a
// *MessageError: both ends refuse exactly the same.
type flaw struct {
	code    Code
	field   string
	problem string
	err     error
}

//go:noinline
func invalid(field, problem string) *flaw {
	return &flaw{code: CodeInvalid, field: field, problem: problem}
}

// firstOf returns the first flaw there is. Checks are cheap; all of them run.
func firstOf(flaws ...*flaw) *flaw {
	for _, f := range flaws {
		if f != nil {
			return f
		}
	}
	return nil
}

func number(field string, n, least uint64) *flaw {
	switch {
	case n < least:
		return invalid(field, fmt.Sprintf("expected at least %d, got %d", least, n))
	case n > change.MaxNumber:
		return invalid(field, fmt.Sprintf("expected at most 2^53-1, got %d", n))
	}
	return nil
}

//go:noinline
func text(field, s string, limit int) *flaw {
	switch {
	case len(s) > limit:
		return &flaw{code: CodeTooLarge, field: field, problem: fmt.Sprintf("expected at most %d bytes, got %d", limit, len(s))}
	case !utf8.ValidString(s):
		return &flaw{code: CodeProtocol, field: field, problem: "expected UTF-8"}
	}
	return nil
}

func codeForm(field string, c Code) *flaw {
	if len(c) > MaxCode {
		return &flaw{code: CodeTooLarge, field: field, problem: fmt.Sprintf("expected at most %d bytes, got %d", MaxCode, len(c))}
	}
	if !c.valid() {
		return invalid(field, fmt.Sprintf("expected a code [A-Z0-9_]{1,32}, got %q", string(c)))
	}
	return nil
}

func databaseName(s string) *flaw {
	if len(s) > MaxDatabase {
		return &flaw{code: CodeTooLarge, field: "db", problem: fmt.Sprintf("expected at most %d bytes, got %d", MaxDatabase, len(s))}
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return invalid("db", fmt.Sprintf("expected a name [a-z0-9._-]{1,64}, got %q", s))
		}
	}
	if s == "" {
		return invalid("db", "expected a name [a-z0-9._-]{1,64}, got none")
	}
	return nil
}

// hashOf checks that a generation and its hash are both there or both not.
func hashOf(gen change.Generation, h change.Hash) *flaw {
	if gen.IsZero() && !h.IsZero() {
		return invalid("hash", "expected zeros, as there is no generation")
	}
	return nil
}

// items checks a list of batches, entries or annotations that begins with the number first.
func items(field string, list [][]byte, least, most int, first uint64, part Part) *flaw {
	switch {
	case len(list) == 0:
		return invalid(field, "expected at least one, got none")
	case len(list) > MaxItems:
		return &flaw{code: CodeTooLarge, field: field, problem: fmt.Sprintf("expected at most %d, got %d", MaxItems, len(list))}
	case part.Split() && len(list) != 1:
		return invalid(field, fmt.Sprintf("expected one piece in a part, got %d", len(list)))
	case first > change.MaxNumber-uint64(len(list)-1):
		return invalid(field, "expected numbers of at most 2^53-1")
	}
	if part.Split() {
		least = 1
	}
	for i, item := range list {
		if len(item) < least {
			return invalid(field, fmt.Sprintf("expected at least %d bytes in element %d, got %d", least, i, len(item)))
		}
		if len(item) > most {
			return &flaw{code: CodeTooLarge, field: field, problem: fmt.Sprintf("expected at most %d bytes in element %d, got %d", most, i, len(item))}
		}
	}
	return nil
}

func (p Part) check() *flaw { return number("part", p.Index, 0) }

func (m *Hello) check() *flaw {
	if len(m.Own) > MaxOwn {
		return &flaw{code: CodeTooLarge, field: "own", problem: fmt.Sprintf("expected at most %d hashes, got %d", MaxOwn, len(m.Own))}
	}
	if m.Device.IsZero() {
		return invalid("dev", "expected a device id, got zeros")
	}
	if m.Gen > change.MaxNumber-MaxOwn {
		return invalid("gen", fmt.Sprintf("expected less than 2^53-%d, got %d", MaxOwn, m.Gen))
	}
	return firstOf(
		number("p", m.Protocol, 1),
		databaseName(m.Database),
		text("tok", m.Token, MaxToken),
		markerNumbers(m.Marker),
		hashOf(m.Gen, m.Hash),
		number("held", uint64(m.LowestHeld), 1),
		number("credit", m.Credit, 1),
		text("agent", m.Agent, MaxAgent),
		trail(m.Trail),
		back(m.Back),
	)
}

// back checks the end of a feed; none is left out.
func back(p change.Place) *flaw {
	if p.Seq == 0 && !p.Hash.IsZero() {
		return invalid("back", "expected zeros, as there is no entry 0")
	}
	return number("back", p.Seq, 0)
}

func markerNumbers(m change.Marker) *flaw {
	if m.IsZero() {
		return nil
	}
	return firstOf(number("mk", m.Epoch, 1), number("mk", m.Seq, 0))
}

func (m *Welcome) check() *flaw {
	switch {
	case m.Lineage.IsZero():
		return invalid("lin", "expected a lineage, got zeros")
	case m.Mode == modePages:
		return &flaw{code: CodeUnknownMessage, field: "mode", problem: "expected resume or replay, got pages", err: ErrReserved}
	case m.Mode != ModeResume && m.Mode != ModeReplay:
		return invalid("mode", fmt.Sprintf("expected resume or replay, got %.32q", string(m.Mode)))
	case m.Common > m.Last:
		return invalid("common", fmt.Sprintf("expected at most last (%d), got %d", m.Last, m.Common))
	}
	return firstOf(
		number("p", m.Protocol, 1),
		number("exp", m.Expires, 0),
		number("ep", m.Epoch, 1),
		number("now", m.Now, 0),
		number("last", uint64(m.Last), 0),
		hashOf(m.Last, m.Hash),
		number("head", m.Head, 0),
		firstOf(number("mk", m.Marker.Epoch, 1), number("mk", m.Marker.Seq, 0)),
		m.Limits.check(),
	)
}

func (l Limits) check() *flaw {
	if f := l.effective().Frame; f < MinFrameBudget {
		return invalid("lim.frame", fmt.Sprintf("expected at least %d, got %d", MinFrameBudget, f))
	}
	return nil
}

func (m *Push) check() *flaw {
	if m.Alone && len(m.Batches) > 1 {
		return invalid("alone", fmt.Sprintf("expected one batch, got %d", len(m.Batches)))
	}
	return firstOf(
		number("gen", uint64(m.Gen), 1),
		m.Part.check(),
		items("b", m.Batches, 1, change.MaxBatch, uint64(m.Gen), m.Part),
	)
}

func (m *Changes) check() *flaw {
	return firstOf(
		number("seq", m.Seq, 1),
		m.Part.check(),
		items("e", m.Entries, 1, change.MaxEntry, m.Seq, m.Part),
	)
}

func (m *Handback) check() *flaw {
	return firstOf(
		number("seq", m.Seq, 1),
		m.Part.check(),
		items("e", m.Entries, 1, change.MaxEntry, m.Seq, m.Part),
	)
}

func (m *Handed) check() *flaw {
	return firstOf(number("seq", m.Seq, 1), number("n", m.Taken, 0), number("head", m.Head.Seq, 0))
}

// trail checks that places go back; the last may be the beginning.
func trail(places []change.Place) *flaw {
	if len(places) > MaxTrail {
		return &flaw{code: CodeTooLarge, field: "trail", problem: fmt.Sprintf("expected at most %d places, got %d", MaxTrail, len(places))}
	}
	for i, p := range places {
		if f := number("trail", p.Seq, 0); f != nil {
			return f
		}
		if i > 0 && p.Seq >= places[i-1].Seq {
			return invalid("trail", fmt.Sprintf("expected a place before %d, got %d", places[i-1].Seq, p.Seq))
		}
	}
	return nil
}

func (m *Accepted) check() *flaw {
	return firstOf(
		number("seq", m.Seq, 1),
		number("gen", uint64(m.Gen), 1),
		m.Part.check(),
		items("a", m.Annotations, minAnnotation, maxAnnotationItem, max(m.Seq, uint64(m.Gen)), m.Part),
	)
}

func (m *Voided) check() *flaw {
	return firstOf(
		number("seq", m.Seq, 1),
		number("gen", uint64(m.Gen), 1),
		items("a", [][]byte{m.Annotation}, minAnnotation, MaxVoidAnnotation, m.Seq, Part{}),
		codeForm("code", m.Code),
		text("msg", m.Text, MaxText),
	)
}

func (m *Seen) check() *flaw   { return number("seq", m.Seq, 0) }
func (m *Resend) check() *flaw { return number("gen", uint64(m.Gen), 1) }
func (m *Ping) check() *flaw   { return number("n", m.N, 0) }
func (m *Pong) check() *flaw {
	return firstOf(number("n", m.N, 0), number("now", m.Now, 0), number("exp", m.Expires, 0))
}

func (m *Token) check() *flaw {
	if m.Token == "" {
		return invalid("tok", "expected a token, got none")
	}
	return text("tok", m.Token, MaxToken)
}

func (m *Error) check() *flaw {
	return firstOf(
		codeForm("code", m.Code),
		text("msg", m.Text, MaxText),
		number("retry", m.Retry, 0),
		number("gen", uint64(m.Gen), 0),
	)
}

func (m *Bye) check() *flaw {
	if m.Why == "" {
		return invalid("why", "expected a reason, got none")
	}
	return firstOf(text("why", string(m.Why), MaxCode), number("retry", m.Retry, 0))
}
