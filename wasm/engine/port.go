package engine

import (
	"context"
	"errors"
	"sync"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// Port is one page.
type Port struct {
	e      *Engine
	send   func(frame []byte)
	ctx    context.Context // ends when the page is gone
	cancel context.CancelFunc
	wake   chan struct{}
	db     *database // nil before HELLO was answered; the port's goroutine's
	fields int       // of the frame that is being read, behind its number; the port's goroutine's

	mu      sync.Mutex
	packets [][]byte
	gone    bool // the page vanished
	over    bool // it was told that its database is closed
	token   bool // it can be asked for a token
	calls   map[uint64]*call
	asked   map[uint64]chan answer
	asks    uint64
}

// call is a request that was not answered yet. It may outlive the port's hold of the database.
type call struct {
	db     *database
	ctx    context.Context
	cancel context.CancelFunc
	credit chan struct{} // of a stream: one for each ITEMS that may be sent
}

type answer struct {
	token string
	err   error
}

// Attach begins to serve a page. send gets frames, in order, one call at a time, and keeps nothing of them; it must not block.
func (e *Engine) Attach(send func(frame []byte)) *Port {
	p := &Port{e: e, send: send, wake: make(chan struct{}, 1), calls: map[uint64]*call{}, asked: map[uint64]chan answer{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.run()
	return p
}

// Receive takes a packet, which is the port's from then on. It does not block.
func (p *Port) Receive(packet []byte) {
	p.mu.Lock()
	p.packets = append(p.packets, packet)
	p.mu.Unlock()
	p.poke()
}

// Gone says that the page is not there any more.
func (p *Port) Gone() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.cancel()
}

func (p *Port) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Port) run() {
	for p.ctx.Err() == nil {
		p.mu.Lock()
		packets := p.packets
		p.packets = nil
		p.mu.Unlock()
		for _, packet := range packets {
			p.packet(packet)
		}
		if len(packets) > 0 {
			continue
		}
		select {
		case <-p.wake:
		case <-p.ctx.Done():
		}
	}
	if p.db != nil {
		p.mu.Lock()
		gone := p.gone
		p.mu.Unlock()
		p.db.remove(p, gone)
		p.db = nil
	}
}

// write sends a frame. Nothing follows the last one.
func (p *Port) write(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() == nil {
		p.send(frame)
	}
}

// tell sends a STATUS. None follows that of the end: a status may take long to be read, and the end does not wait for it.
func (p *Port) tell(frame []byte, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() == nil && !p.over {
		p.over = last
		p.send(frame)
	}
}

func (p *Port) ok(n uint64) { p.write(port.Frame(nil, port.OK, n, 0)) }

func (p *Port) fail(n uint64, err error) {
	code, message := explain(err)
	p.write(port.Failure(n, string(code), message))
}

func (p *Port) packet(packet []byte) {
	r := port.NewReader(packet)
	for r.More() && p.ctx.Err() == nil {
		if p.fields = r.Array() - 2; p.fields < 0 {
			r.Fail("a frame")
		}
		kind, n := r.Uint(), r.Uint()
		if r.Err() == nil {
			p.frame(r, kind, n)
		}
	}
	if err := r.Err(); err != nil {
		p.write(port.Failure(0, string(core.Protocol), "the engine could not read what this page said: "+err.Error()))
		p.cancel()
	}
}

// frame takes one frame, whose fields r reads. What only has to be noted is done here, in order; what may wait goes on by itself.
func (p *Port) frame(r *port.Reader, kind, n uint64) {
	switch kind {
	case port.Hello, port.Destroy:
		p.first(r, kind, n)
		return
	case port.Cancel:
		p.cancelCall(n)
		return
	case port.More:
		p.more(n, r.Uint())
		return
	case port.Token:
		p.answered(r, n)
		return
	}
	if p.db == nil {
		r.Fail("a hello before anything else")
		return
	}
	switch kind {
	case port.Hidden:
		go p.db.checkpoint()
	case port.Wake:
		p.e.Online()
	case port.Ping:
		p.ok(n)
	case port.Close:
		p.close(n)
	default:
		p.request(r, kind, n)
	}
}

// first answers the first frame of a page.
func (p *Port) first(r *port.Reader, kind, n uint64) {
	if protocol := r.Uint(); protocol != port.Protocol && r.Err() == nil {
		if protocol > port.Protocol && p.e.cfg.End != nil {
			go p.e.stepAside()
		} else {
			p.fail(n, fail(core.VersionUnknown,
				"the page and the engine, which another tab may have started, are of different versions (%d and %d): reload the page", protocol, port.Protocol))
		}
		p.cancel()
		return
	}
	if p.db != nil {
		r.Fail("one hello")
		return
	}
	if kind == port.Destroy {
		name, force := r.Str(), r.Bool()
		place := name
		if p.fields > 3 {
			place = r.Str()
		}
		if r.Err() != nil {
			return
		}
		if err := p.e.destroy(p.ctx, name, place, force); err != nil {
			p.fail(n, err)
		} else {
			p.ok(n)
		}
		p.cancel()
		return
	}
	o, wrong := readOptions(r)
	if r.Err() != nil {
		return
	}
	p.token = o.token
	var db *database
	err := wrong
	if err == nil {
		db, err = p.e.join(p, o)
	}
	if err != nil {
		p.fail(n, err)
		p.cancel()
		return
	}
	p.db = db
	db.greet(p)
	p.write(msgpack.AppendStr(port.Frame(nil, port.OK, n, 1), db.replica.State().Device.String()))
}

// readOptions reads what a page opens a database with; wrong is what of it cannot be taken.
func readOptions(r *port.Reader) (o options, wrong error) {
	for range r.Map() {
		switch key := r.Str(); key {
		case "name":
			o.name = r.Str()
		case "place":
			o.place = r.Str()
		case "feed":
			o.feed = r.Str()
		case "durability":
			o.durability = r.Str()
		case "token":
			o.token = r.Bool()
		case "agent":
			o.agent = r.Str()
		case "paused":
			o.paused = r.Bool()
		case "had":
			o.had = readHad(r)
		case "collections":
			o.rules = readRules(r, &wrong)
		default:
			r.Fail("an option that this engine knows, not " + key)
		}
	}
	return o, wrong
}

// readHad reads an id of a device, or a version.
func readHad(r *port.Reader) (v change.Version) {
	text := r.Str()
	v, err := change.ParseVersion(text)
	if err != nil {
		v.Device, err = change.ParseDeviceID(text)
	}
	if err != nil {
		r.Fail("a device or a version")
	}
	return v
}

// close lets the page go, and answers when that is done.
func (p *Port) close(n uint64) {
	db := p.db
	p.db = nil
	p.mu.Lock()
	for _, c := range p.calls {
		c.cancel()
	}
	p.mu.Unlock()
	db.remove(p, false)
	p.ok(n)
	p.cancel()
}

// ended tells the page that its database is closed. Its requests fail from now on.
func (p *Port) ended(why *core.Error) {
	p.tell(msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendStr(
		msgpack.AppendMap(port.Frame(nil, port.Status, 0, 1), 3), "phase"), "closed"), "code"), string(why.Code)), "message"), why.Message), true)
}

// begin notes a call that may be cancelled.
func (p *Port) begin(n uint64, stream bool) *call {
	c := &call{db: p.db}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	if stream {
		c.credit = make(chan struct{}, port.Window)
		for range port.Window {
			c.credit <- struct{}{}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[n] = c
	return c
}

func (p *Port) finish(n uint64, c *call) {
	c.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, n)
}

func (p *Port) cancelCall(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.calls[n]; c != nil {
		c.cancel()
	}
}

// more gives a stream credit. What would be more than the window is a page's mistake that harms nobody.
func (p *Port) more(n, consumed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[n]
	if c == nil || c.credit == nil {
		return
	}
	for range min(consumed, port.Window) {
		select {
		case c.credit <- struct{}{}:
		default:
		}
	}
}

// items sends one ITEMS as soon as the page has room for it.
func (p *Port) items(c *call, frame []byte) error {
	select {
	case <-c.credit:
		p.write(frame)
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// ask asks the page for a token.
func (p *Port) ask(ctx context.Context) (string, error) {
	p.mu.Lock()
	p.asks++
	n, got := p.asks, make(chan answer, 1)
	p.asked[n] = got
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.asked, n)
	}()
	p.write(port.Frame(nil, port.Ask, n, 0))
	select {
	case a := <-got:
		return a.token, a.err
	case <-p.ctx.Done():
		return "", errLeft
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var errLeft = errors.New("engine: the page that was asked is gone")

func (p *Port) answered(r *port.Reader, n uint64) {
	var a answer
	none := r.Nil()
	if !none {
		a.token = r.Str()
	}
	if why := r.Str(); none {
		a.err = fail(unauthenticated, "the application gave no token: %s", why)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.asked[n]; got != nil {
		got <- a
		delete(p.asked, n)
	}
}

// token asks the pages for a token, one after the other, until one gives an answer. Without one that can be asked there is none.
func (db *database) token(ctx context.Context) (string, error) {
	tried := map[*Port]bool{}
	for {
		p := db.tokenGiver(tried)
		if p == nil {
			return "", nil
		}
		tried[p] = true
		token, err := p.ask(ctx)
		if !errors.Is(err, errLeft) {
			return token, err
		}
	}
}

func (db *database) tokenGiver(tried map[*Port]bool) *Port {
	db.mu.Lock()
	defer db.mu.Unlock()
	for p := range db.ports {
		if p.token && !tried[p] {
			return p
		}
	}
	return nil
}
