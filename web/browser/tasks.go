package browser

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	cdpio "github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// Tasks are those that a page's main thread had to do.
type Tasks struct {
	Count int
	Total time.Duration // of a processor's time
	// The longest one by the clock, and the longest one by what it took of a processor: on a machine that has other things to do, a
	// task stands still for most of its time.
	Clock, Processor time.Duration
	// What the longest one by each was, as far as Chromium tells: for each kind of event in it, the processor's time of all of them. One
	// event may be a part of another.
	OfClock, OfProcessor map[string]time.Duration
}

// Tasks begins to note the tasks of the page's main thread; end says what they were.
func (p *Page) Tasks(ctx context.Context) (end func(context.Context) (Tasks, error), err error) {
	start := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil { // of what loaded the page
			return err
		}
		_, err := cdp.Call(ctx, t, tracing.Start, tracing.StartParams{
			TransferMode: tracing.StartTransferModeReturnAsStream,
			TraceConfig: &tracing.TraceConfig{
				RecordMode:         tracing.TraceConfigRecordModeRecordAsMuchAsPossible,
				IncludedCategories: []string{"toplevel", "blink.user_timing", "devtools.timeline", "cppgc"},
			},
		})
		return err
	})
	return p.endTasks, p.do(ctx, "note tasks", start)
}

// mark is set by the page at the end: where it stands in the trace is the page's main thread.
const mark = "vsync: the end of what is traced"

func (p *Page) endTasks(ctx context.Context) (tasks Tasks, err error) {
	if err := p.Call(ctx, nil, "(mark) => void performance.mark(mark)", mark); err != nil {
		return tasks, err
	}
	end := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		done := cdp.Events(ctx, t, tracing.TracingComplete)
		if _, err := cdp.Call(ctx, t, tracing.End, cdp.Empty{}); err != nil {
			return err
		}
		for complete, err := range done {
			if err != nil {
				return err
			}
			if complete.DataLossOccurred {
				return errors.New("Chromium has lost a part of the trace: trace a shorter time")
			}
			tasks, err = readTasks(&stream{ctx: ctx, target: t, handle: complete.Stream})
			return err
		}
		return errors.New("the trace has no end")
	})
	return tasks, p.do(ctx, "tasks", end)
}

// readTasks reads a trace, {"traceEvents": [{…} …]}; times in it are µs.
func readTasks(trace io.Reader) (Tasks, error) {
	type thread struct{ process, thread int }
	type events struct{ tasks, parts []event }
	threads := map[thread]*events{}
	var main thread
	d := json.NewDecoder(trace)
	for { // to the list of events
		token, err := d.Token()
		if err != nil {
			return Tasks{}, fmt.Errorf("a trace without events: %w", err)
		}
		if token == json.Delim('[') {
			break
		}
	}
	for d.More() {
		var e struct {
			event
			Ph       string
			Pid, Tid int
		}
		if err := d.Decode(&e); err != nil {
			return Tasks{}, fmt.Errorf("an event of a trace: %w", err)
		}
		at := thread{e.Pid, e.Tid}
		if e.Name == mark {
			main = at
		}
		if e.Ph != "X" {
			continue
		}
		of := threads[at]
		if of == nil {
			of = &events{}
			threads[at] = of
		}
		if e.Name == "ThreadControllerImpl::RunTask" {
			of.tasks = append(of.tasks, e.event)
		} else {
			of.parts = append(of.parts, e.event)
		}
	}
	of := threads[main]
	if of == nil || len(of.tasks) == 0 {
		return Tasks{}, errors.New("a trace without tasks of the page's main thread")
	}
	tasks := Tasks{Count: len(of.tasks)}
	for _, task := range of.tasks {
		tasks.Total += microseconds(task.Tdur)
	}
	clock := slices.MaxFunc(of.tasks, func(a, b event) int { return cmp.Compare(a.Dur, b.Dur) })
	processor := slices.MaxFunc(of.tasks, func(a, b event) int { return cmp.Compare(a.Tdur, b.Tdur) })
	tasks.Clock, tasks.OfClock = microseconds(clock.Dur), clock.parts(of.parts)
	tasks.Processor, tasks.OfProcessor = microseconds(processor.Tdur), processor.parts(of.parts)
	return tasks, nil
}

// An event of a trace that has a beginning and an end, in µs.
type event struct {
	Name          string
	Ts, Dur, Tdur float64
}

// parts are those of these events that a task has, by name.
func (task event) parts(all []event) map[string]time.Duration {
	parts := map[string]time.Duration{}
	for _, e := range all {
		if e.Ts >= task.Ts && e.Ts+e.Dur <= task.Ts+task.Dur && e.Tdur > 0 {
			parts[e.Name] += microseconds(e.Tdur)
		}
	}
	return parts
}

func microseconds(n float64) time.Duration { return time.Duration(n * float64(time.Microsecond)) }

// stream is something that Chromium hands out piece by piece.
type stream struct {
	ctx    context.Context
	target *chromedp.Target
	handle cdpio.StreamHandle
	rest   []byte
	over   bool
}

func (s *stream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.over {
			return 0, io.EOF
		}
		piece, err := cdp.Call(s.ctx, s.target, cdpio.Read, cdpio.ReadParams{Handle: s.handle, Size: 1 << 20})
		if err != nil {
			return 0, err
		}
		s.rest, s.over = piece.Data, piece.EOF
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
