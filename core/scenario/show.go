package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
)

// maxShown bounds what a failure shows of a replica or a value.
const (
	maxShownObjects = 12
	maxShownValue   = 200
)

func showStatus(s watcher.Status) string {
	text := fmt.Sprintf("%s, marker %d, pending %d", s.Phase, s.Marker.Seq, s.Pending)
	if !s.Fault.IsZero() {
		text += fmt.Sprintf(", fault %s %s", s.Fault.Code, s.Fault.Message)
	}
	return text
}

func showValue(value []byte) string {
	text, err := change.ToJSON(value)
	switch {
	case err != nil:
		return fmt.Sprintf("%x (%v)", value, err)
	case len(text) > maxShownValue:
		return fmt.Sprintf("%s… (%d bytes)", text[:maxShownValue], len(text))
	}
	return string(text)
}

// showEntry is an object in the words of an expectation.
func (r *run) showEntry(e core.Entry, there, leaves bool) string {
	text := "none"
	if there {
		text = showValue(e.Value)
	}
	if e.Conflict {
		text += " conflict"
	}
	if leaves && len(e.Frontier) > 0 {
		text += " leaves " + r.calledAll(e.Frontier)
	}
	return text
}

// standing is where all stand.
func (r *run) standing() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.devices)) {
		d := r.devices[name]
		if d.Replica == nil {
			fmt.Fprintf(&b, "  %s: closed\n", name)
			continue
		}
		s := d.State()
		sync := "offline"
		if d.feed != nil {
			sync = showStatus(d.feed.Status())
		}
		fmt.Fprintf(&b, "  %s: at %s, confirmed %d, marker %d, pending %d; %s\n", name,
			r.called(change.Version{Device: s.Device, Gen: s.LastGen}), s.ConfirmedGen, s.Marker.Seq, s.Pending, sync)
		r.objects(&b, d.Replica)
	}
	return b.String()
}

func (r *run) objects(b *strings.Builder, replica *core.Replica) {
	ctx := context.Background()
	n := 0
	for e, err := range replica.Scan(ctx, core.ScanRange{}) {
		switch n++; {
		case err != nil:
			fmt.Fprintf(b, "      %v\n", err)
		case n > maxShownObjects:
			fmt.Fprintln(b, "      …")
		default:
			fmt.Fprintf(b, "      %s/%s %s\n", e.Key.Collection, e.Key.ID, r.showEntry(e, true, true))
		}
		if err != nil || n > maxShownObjects {
			break
		}
	}
	problems, err := replica.Problems(ctx)
	if err != nil {
		fmt.Fprintf(b, "      %v\n", err)
	}
	for _, p := range problems {
		fmt.Fprintf(b, "      problem %s %s: %s\n", r.called(p.Version), p.Code, p.Message)
	}
}

// all is everything that a replica shows, bit for bit.
func all(ctx context.Context, replica *core.Replica) (string, error) {
	var b strings.Builder
	for e, err := range replica.Scan(ctx, core.ScanRange{}) {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %x %s %d %v %v\n", e.Key, e.Value, e.Version, e.Time, e.Conflict, e.Frontier)
	}
	return b.String(), nil
}

// showHistory is an object's history in the words of an expectation.
func (r *run) showHistory(ctx context.Context, replica *core.Replica, key change.Key) (string, error) {
	var list []string
	for h, err := range replica.History(ctx, key) {
		if err != nil {
			return "", err
		}
		text := r.called(h.Version)
		if h.Deleted {
			text = "-" + text
		}
		list = append(list, text)
	}
	return strings.Join(list, " "), nil
}

// showVector is what a replica holds of each device that anybody has met.
func (r *run) showVector(ctx context.Context, replica *core.Replica) (string, error) {
	var list []string
	own := replica.State()
	for name, id := range r.ids {
		_, last, _, err := replica.Settlement(ctx, id, 0, change.Hash{}, nil)
		if err != nil {
			return "", err
		}
		if id == own.Device {
			last = max(last, own.LastGen)
		}
		if last > 0 {
			list = append(list, fmt.Sprintf("%s=%d", name, last))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " "), nil
}

// showEvent is an event of a watch in the words of an expectation.
func (r *run) showEvent(e core.Event, err error, more bool) string {
	var coded *core.Error
	switch {
	case errors.As(err, &coded):
		return "end " + string(coded.Code)
	case errors.Is(err, context.Canceled):
		return "end CANCELLED"
	case err != nil:
		return "end: " + err.Error()
	case !more:
		return "end"
	}
	text := r.called(e.Version)
	if e.Reset {
		text = "reset"
	} else if e.Initial {
		text = "initial"
	}
	for _, c := range e.Changes {
		key := c.Key.Collection + "/" + c.Key.ID
		if c.Deleted {
			key = "-" + key
		}
		text += " " + key
	}
	return text
}
