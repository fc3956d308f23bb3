// Package proxy is a TCP proxy that treats connections badly, each in a way that a seed repeats.
//
//	client ──▶ Listen ─ pump up ───▶ target        up    ──── 8,120 B ──▶ stall ── 21,004 B ──▶ reset
//	client ◀────────── pump down ◀── target        down  ── 310 B ──▶ delay ────── 90,551 B ──▶ finish
//
// Faults stand at byte offsets of a direction, so that what passes before one is the same in every run, whatever
// the clock does. What happens to the n-th connection depends on n and the Script alone. Bytes are counted both
// ways. Heal ends all faults, those under way too.
package proxy

import (
	"errors"
	"io"
	"iter"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialTime is how long the target may take to answer: it is on this machine.
	dialTime = 5 * time.Second
	// finishTime is how long a finished connection waits for the ends to close theirs, while what they still send
	// is thrown away: without reading it, closing would be a reset.
	finishTime = time.Second
	// bufferBytes is read at once, in each direction.
	bufferBytes = 32 << 10
)

// Stats count what a proxy has done since it listens.
type Stats struct {
	Connections int   // taken
	Refused     int   // of them, those whose target could not be reached
	Up, Down    int64 // bytes passed on, or about to be
	Faults      [Finish + 1]int
}

// Cuts is how many connections were cut.
func (s Stats) Cuts() int { return s.Faults[Reset] + s.Faults[Finish] }

// A Proxy passes connections on to one target. Its methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	script   Script
	healed   chan struct{} // closed by Heal
	group    sync.WaitGroup

	mu     sync.Mutex
	target string // of connections that come
	stats  Stats
	links  map[*link]bool
	closed bool
}

// Listen starts a proxy on a free port of the loopback interface, for a target such as "127.0.0.1:8080", which need
// not be there yet. A nil script is a proxy without faults.
func Listen(target string, script Script) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, script: script, healed: make(chan struct{}), links: map[*link]bool{}}
	p.group.Go(p.accept)
	return p, nil
}

// Addr returns where the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Stats returns what was done so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Heal ends all faults: from now on the proxy only passes on. Connections stay.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isHealed() {
		close(p.healed)
	}
}

func (p *Proxy) isHealed() bool {
	select {
	case <-p.healed:
		return true
	default:
		return false
	}
}

// Deafen leaves the connections that stand now as a network does that has gone away: what comes is thrown away, and neither end hears
// of it. New connections are as before.
func (p *Proxy) Deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.deaf.Store(true)
	}
}

// Turn leads those that come from now on to another target, and resets the connections that stand: the device is in another network.
func (p *Proxy) Turn(target string) {
	p.mu.Lock()
	p.target = target
	links := slices.Collect(maps.Keys(p.links))
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
}

// Close resets all connections and takes no more. When it returns, no socket and no goroutine is left.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	links := slices.Collect(maps.Keys(p.links))
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
	p.listener.Close() // its only error is that it is closed
	p.group.Wait()
}

func (p *Proxy) accept() {
	for n := 0; ; n++ {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.group.Go(func() { p.serve(n, conn.(*net.TCPConn)) })
	}
}

// serve takes the n-th connection through its life.
func (p *Proxy) serve(n int, client *net.TCPConn) {
	var target string
	p.count(func(s *Stats) { s.Connections++; target = p.target })
	conn, err := net.DialTimeout("tcp", target, dialTime)
	if err != nil {
		p.count(func(s *Stats) { s.Refused++ })
		reset(client)
		return
	}
	l := &link{client: client, target: conn.(*net.TCPConn), over: make(chan struct{})}
	if !p.enter(l, target) {
		l.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, n, Up, l.client, l.target) })
	both.Go(func() { p.pump(l, n, Down, l.target, l.client) })
	both.Wait()
	p.leave(l)
}

func (p *Proxy) enter(l *link, target string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.target != target {
		return false
	}
	p.links[l] = true
	return true
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.client.Close()
	l.target.Close()
}

func (p *Proxy) count(add func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(&p.stats)
}

// pump passes one direction on until it ends, or is cut.
func (p *Proxy) pump(l *link, n int, d Direction, from, to *net.TCPConn) {
	next, stop := p.faults(n, d)
	defer stop()
	fault, more := next()
	buffer := make([]byte, bufferBytes)
	for at := int64(0); ; {
		for more && fault.At <= at && !p.isHealed() {
			if !p.act(l, fault) {
				return
			}
			fault, more = next()
		}
		most := int64(len(buffer))
		if more && !p.isHealed() {
			most = min(most, fault.At-at)
		}
		size, err := from.Read(buffer[:most])
		if l.deaf.Load() {
			if err != nil {
				return
			}
			continue
		}
		if size > 0 {
			p.passed(d, size) // before the write: who has read the bytes finds them counted
			at += int64(size)
			if _, err := to.Write(buffer[:size]); err != nil {
				l.reset()
				return
			}
		}
		if err != nil {
			l.ended(err, to)
			return
		}
	}
}

func (p *Proxy) faults(n int, d Direction) (next func() (Fault, bool), stop func()) {
	if p.script == nil {
		return func() (Fault, bool) { return Fault{}, false }, func() {}
	}
	return iter.Pull(p.script(n, d))
}

func (p *Proxy) passed(d Direction, bytes int) {
	p.count(func(s *Stats) {
		if d == Up {
			s.Up += int64(bytes)
		} else {
			s.Down += int64(bytes)
		}
	})
}

// act lets a fault happen, and reports whether the direction goes on.
func (p *Proxy) act(l *link, f Fault) bool {
	p.count(func(s *Stats) { s.Faults[f.Kind]++ })
	switch f.Kind {
	case Reset:
		l.reset()
		return false
	case Finish:
		l.finish()
		return false
	}
	timer := time.NewTimer(f.Time)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.healed:
	case <-l.over:
		return false
	}
	return true
}

// A link is the two sockets of one connection.
type link struct {
	client, target *net.TCPConn
	over           chan struct{} // closed when it was cut
	deaf           atomic.Bool   // what comes is thrown away, the ends too
	once           sync.Once
}

// reset ends both sockets at once; what they have not delivered is lost.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.over)
		reset(l.client)
		reset(l.target)
	})
}

func reset(c *net.TCPConn) {
	c.SetLinger(0) // fails only where the socket is gone already
	c.Close()
}

// finish ends both sockets in good order, and waits for the ends to do the same.
func (l *link) finish() {
	l.once.Do(func() {
		close(l.over)
		var both sync.WaitGroup
		for _, c := range []*net.TCPConn{l.client, l.target} {
			c.CloseWrite()
			c.SetReadDeadline(time.Now().Add(finishTime))
			both.Go(func() { io.Copy(io.Discard, c) })
		}
		both.Wait()
		l.client.Close()
		l.target.Close()
	})
}

// ended passes the end of a direction on: its good end, or the reset that it was.
func (l *link) ended(err error, to *net.TCPConn) {
	if errors.Is(err, io.EOF) {
		to.CloseWrite()
		return
	}
	l.reset()
}
