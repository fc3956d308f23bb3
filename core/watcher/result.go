package watcher

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/wire"
)

// An Outcome is how a session ended, by what comes next.
type Outcome uint8

const (
	Running    Outcome = iota // it has not ended
	Ended                     // connection gone, or the hub goes: back after the usual delay
	Again                     // settling went a step: hello at once
	Reentered                 // settling gave the replica a new device id: hello at once
	Superseded                // another replica has this device id: a leaving session, at once
	Parted                    // the device id can be given up: re-entry, then hello at once
	Rejected                  // the hub refuses own generation Gen: settle; if it comes again, re-entry
	Faulty                    // the stream cannot be applied at sequence Seq: ask again; then it is held there
	Unknown                   // the hub does not know the marker: hello at once, with a trail
	HandedBack                // it was given all that it lost: hello at once
	Forgotten                 // the hub does not know up to where it got back what was left: hello at once, and it gets that again
	Replayed                  // what it lost was left: hello at once
	Lost                      // own generation Gen cannot be read: learn what the hub has, then re-entry with what is left
	Held                      // no token, too many requests, no space, no database yet: the queue waits
	Refused                   // coming back by itself helps nobody: settings, token or software must change
	Failed                    // our own replica could not go on
)

func (o Outcome) String() string {
	return [...]string{"running", "ended", "again", "reentered", "superseded", "parted", "rejected", "faulty", "unknown", "handed back", "forgotten", "replayed", "lost", "held", "refused", "failed"}[o]
}

// A Result says why a session ended, to programs and to people.
type Result struct {
	Outcome Outcome
	Code    wire.Code         // empty: nobody's fault
	Text    string            // what happened and what to do
	Retry   time.Duration     // the hub wants us no sooner; 0: it did not say
	Low     bool              // Held: try at the longest delay
	Silent  bool              // Ended: the connection is dead
	Cut     bool              // Ended: the connection broke, and the hub had not said why
	Gen     change.Generation // Rejected: the own generation that it is about
	Seq     uint64            // Faulty: the place of the feed that cannot be applied
	Err     error             // the cause, where there is one
}

// Close returns the close code and reason for the connection, as PROTOCOL.md's section 1 has them.
func (r Result) Close() (code int, reason string) {
	switch {
	case r.Outcome == Faulty:
		return wire.CloseFault, cut(string(r.Code) + ": " + r.Text)
	case r.Silent:
		return wire.CloseSilence, cut(r.Text)
	}
	return wire.CloseNormal, cut(r.Text)
}

func cut(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

// end notes the first result there is.
//
//go:noinline
func (s *Session) end(r Result) {
	if s.stage != over {
		s.stage, s.result = over, r
		s.low, s.high = s.window.underway()
		s.control, s.window = nil, window{}
	}
}

// faulty is the result of a hub that breaks the protocol behind what is applied.
func (s *Session) faulty(code wire.Code, text string) Result {
	return Result{Outcome: Faulty, Code: code, Text: text, Seq: s.applied + 1}
}

// blame ends the session for what the hub sent wrong; err is a *wire.ProtocolError.
func (s *Session) blame(err error) {
	r := s.faulty(wire.CodeProtocol, err.Error())
	r.Err = err
	if wrong, ok := errors.AsType[*wire.ProtocolError](err); ok {
		r.Code = wrong.Code
	}
	if r.Code == wire.CodeUnknownMessage {
		r.Outcome = Refused
	}
	s.end(r)
}

func (s *Session) misplaced(m wire.Message) {
	s.end(s.faulty(wire.CodeProtocol, fmt.Sprintf("%v came out of place", m.Type())))
}

// fail ends the session for what the replica could not do.
func (s *Session) fail(err error) {
	r := Result{Outcome: Failed, Code: codeOf(err), Text: err.Error(), Err: err}
	switch {
	case errors.Is(err, context.Canceled):
		r = Result{Outcome: Ended, Text: "stopped", Err: err}
	case r.Code == wire.CodeOtherHub, r.Code == wire.CodeUnknownMarker, r.Code == wire.CodeForbidden, r.Code == wire.CodeVersion:
		r.Outcome = Refused
	}
	s.end(r)
}

// unapplied ends the session for what the replica did not take of the stream: the hub's fault, what
// lies between, or our own store's.
func (s *Session) unapplied(now time.Time, err error) {
	code := codeOf(err)
	if core.IsLost(err) { // since the hello, which said that it is here: the next one says that it is not
		s.end(Result{Outcome: Ended, Code: code, Text: err.Error(), Err: err})
		return
	}
	if ofStream(code) && !errors.Is(err, context.Canceled) {
		r := s.faulty(code, err.Error())
		r.Err = err
		s.linger(now, r)
		return
	}
	s.fail(err)
}

// linger ends the session with r, now or after its Linger. Until then the stream is not applied and
// not acknowledged; of own batches it still shows what the hub has taken, which keeps the window open.
func (s *Session) linger(now time.Time, r Result) {
	if s.cfg.Linger <= 0 {
		s.end(r)
		return
	}
	s.held, s.until = r, now.Add(s.cfg.Linger)
	s.credit.due = time.Time{}
}

// codeOf returns the code of an error of the replica.
func codeOf(err error) wire.Code {
	if known, ok := errors.AsType[*core.Error](err); ok {
		return wire.Code(known.Code)
	}
	return wire.CodeInternal
}

// ofStream reports whether a replica that answers Apply with this code finds fault with what came.
func ofStream(c wire.Code) bool {
	switch c {
	case wire.CodeGap, wire.CodeHash, wire.CodeProtocol, wire.CodeInvalid, wire.CodeTooLarge, wire.CodeCorrupt:
		return true
	}
	return false
}

// isolable reports whether one entry may be at fault, so that those before it can be applied.
func isolable(err error) bool {
	return err != nil && ofStream(codeOf(err)) && codeOf(err) != wire.CodeGap
}

// refused ends the session for what the hub says that we did wrong, or cannot have (section 15).
func (s *Session) refused(m *wire.Error) {
	r := Result{Outcome: Ended, Code: m.Code, Text: m.Text, Retry: stay(m.Retry), Gen: m.Gen, Err: m}
	switch m.Code {
	case wire.CodeProtocol, wire.CodeTooLarge, wire.CodeHash, wire.CodeGap:
		if !m.Gen.IsZero() {
			r.Outcome = Rejected
		}
	case wire.CodeForbidden:
		if r.Outcome = Rejected; m.Gen.IsZero() {
			r.Outcome = Refused
		}
	case wire.CodeVersion, wire.CodeUnknownMessage, wire.CodeInvalid, wire.CodeOtherHub:
		r.Outcome = Refused
	case wire.CodeUnknownMarker:
		switch {
		case !s.cfg.Trail || s.cfg.HandedBack:
			r.Outcome = Unknown
		case s.hello.Back != change.Place{}:
			r.Outcome = Forgotten
		default:
			r.Outcome = Refused // by a hub that does not know trails
		}
	case wire.CodeUnauthenticated, wire.CodeRateLimited, wire.CodeQuota, wire.CodeNotFound:
		r.Outcome = Held
	case wire.CodeCorrupt:
		r.Outcome, r.Low = Held, true
	case wire.CodeSuperseded:
		s.superseded()
		return
	}
	s.end(r)
}

// dismissed ends the session because the hub ends it without a fault of ours.
func (s *Session) dismissed(m *wire.Bye) {
	if m.Why == wire.WhySuperseded {
		s.superseded()
		return
	}
	s.end(Result{Outcome: Ended, Text: "the hub said bye: " + string(m.Why), Retry: stay(m.Retry)})
}

// superseded ends the session because another replica has this device id. Where no own batch waits for
// its answer, nothing is to be sent before re-entry, and the other replica is left in peace.
func (s *Session) superseded() {
	r := Result{Outcome: Superseded, Code: wire.CodeSuperseded, Text: "another replica has this device id"}
	if s.replica.State().Pending == 0 {
		r.Outcome = Parted
	}
	s.end(r)
}

// stay returns a hub's wish to stay away, bounded.
func stay(ms uint64) time.Duration {
	if ms >= uint64(MaxStay/time.Millisecond) {
		return MaxStay
	}
	return time.Duration(ms) * time.Millisecond
}
