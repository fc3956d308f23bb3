package sim

import (
	"fmt"

	"vsync/core/change"
	"vsync/core/wire"
)

// describeUp and describeDown are frames as a trace shows them. They are asked for only when a history is traced,
// but their arguments are always made: keep the calls cheap.
type describeUp []byte

func (frame describeUp) String() string {
	m, err := wire.DecodeUp(append([]byte(nil), frame...))
	if err != nil {
		return fmt.Sprintf("%d bytes: %v", len(frame), err)
	}
	switch m := m.(type) {
	case *wire.Hello:
		return fmt.Sprintf("hello id %.4s marker %d of %d gen %d +%d held %d trail %d", m.Device, m.Marker.Seq, m.Marker.Epoch, m.Gen, len(m.Own), m.LowestHeld, len(m.Trail))
	case *wire.Push:
		return fmt.Sprintf("push gen %d part %+v %s", m.Gen, m.Part, notesOf(m.Batches))
	case *wire.Handback:
		return fmt.Sprintf("handback seq %d part %+v %d entries", m.Seq, m.Part, len(m.Entries))
	case *wire.Seen:
		return fmt.Sprintf("seen %d", m.Seq)
	}
	return m.Type().String()
}

type describeDown []byte

func (frame describeDown) String() string {
	m, err := wire.DecodeDown(append([]byte(nil), frame...))
	if err != nil {
		return fmt.Sprintf("%d bytes: %v", len(frame), err)
	}
	switch m := m.(type) {
	case *wire.Welcome:
		return fmt.Sprintf("welcome %s common %d last %d head %d from %d of %d", m.Mode, m.Common, m.Last, m.Head, m.Marker.Seq, m.Marker.Epoch)
	case *wire.Changes:
		return fmt.Sprintf("changes seq %d n %d part %+v", m.Seq, len(m.Entries), m.Part)
	case *wire.Accepted:
		return fmt.Sprintf("accepted seq %d gen %d n %d part %+v", m.Seq, m.Gen, len(m.Annotations), m.Part)
	case *wire.Voided:
		return fmt.Sprintf("voided seq %d gen %d %s %s", m.Seq, m.Gen, m.Code, m.Text)
	case *wire.Error:
		return fmt.Sprintf("error %s %s gen %d", m.Code, m.Text, m.Gen)
	case *wire.Handed:
		return fmt.Sprintf("handed seq %d taken %d", m.Seq, m.Taken)
	case *wire.Bye:
		return fmt.Sprintf("bye %s", m.Why)
	case *wire.Resend:
		return fmt.Sprintf("resend %d", m.Gen)
	}
	return m.Type().String()
}

func notesOf(batches [][]byte) (notes []string) {
	for _, b := range batches {
		if h, _, err := change.DecodeHeader(b); err == nil {
			notes = append(notes, noteIn(b, &h))
		}
	}
	return notes
}
