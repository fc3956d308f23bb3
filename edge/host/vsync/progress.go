package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A progress tells on stderr how far long work is: in place on a terminal, else a line a second, and not at
// all where programs read. What is done within a second says nothing. A nil progress is silent.
type progress struct {
	w        io.Writer
	terminal bool
	last     time.Time
	open     bool // a line on the terminal is not ended
	started  time.Time
}

const (
	lineEvery = time.Second
	drawEvery = 100 * time.Millisecond
	barWidth  = 24
)

func newProgress(w io.Writer, silent bool) *progress {
	if silent {
		return nil
	}
	now := time.Now()
	return &progress{w: w, terminal: isTerminal(w), last: now, started: now}
}

func isTerminal(w io.Writer) bool {
	f, is := w.(*os.File)
	if !is {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// due reports whether it is time to say something.
func (p *progress) due() bool {
	if p == nil {
		return false
	}
	every := lineEvery
	if p.terminal && time.Since(p.started) >= lineEvery {
		every = drawEvery
	}
	if time.Since(p.last) < every {
		return false
	}
	p.last = time.Now()
	return true
}

// show says how much of all is done; all = 0: not known. more stands behind it.
func (p *progress) show(what string, done, all uint64, more string) {
	text := fmt.Sprintf("%s %s", what, grouped(done))
	if all > 0 {
		text = fmt.Sprintf("%s %s of %s", what, grouped(done), grouped(all))
	}
	if more != "" {
		text += " " + more
	}
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	if all > 0 {
		text = bar(done, all) + " " + text
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	p.open = true
}

// end leaves the terminal's line.
func (p *progress) end() {
	if p != nil && p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

func (p *progress) receiving(done, all uint64) {
	if all > 0 && p.due() {
		p.show("received", done, all, "batches of the feed")
	}
}

func (p *progress) sending(done, all int) {
	if all > 1 && p.due() {
		p.show("sent", uint64(max(done, 0)), uint64(all), "batches")
	}
}

func bar(done, all uint64) string {
	full := int(min(done, all) * barWidth / all)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "]"
}

// grouped writes a number with separators: 171,075.
func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted writes how many of something there are: 1 batch, 2,000 batches.
func counted[N int | uint64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(uint64(n)) + " " + more
}

// rate is how many a second.
func rate(n uint64, d time.Duration) string {
	return grouped(uint64(float64(n)/max(d.Seconds(), 0.001))) + " a second"
}

// warn says a line that is no failure.
func (c *call) warn(format string, args ...any) {
	c.progress.end()
	_, _, line := explain(fail("", format, args...))
	if c.json {
		fmt.Fprintf(c.err, "{\"warning\":%s}\n", quote(line))
		return
	}
	fmt.Fprintf(c.err, "vsync: %s\n", line)
}
