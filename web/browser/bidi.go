package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"nhooyr.io/websocket"
)

// maxAnswer bounds what a page gives back at once.
const maxAnswer = 64 << 20

// bidi is a WebDriver BiDi connection: commands with numbers, answers in any order, and events.
type bidi struct {
	socket *websocket.Conn
	event  func(method string, params json.RawMessage)
	done   chan struct{} // closed with the connection
	stop   context.CancelFunc

	mu      sync.Mutex
	last    int
	waiting map[int]chan bidiMessage
}

type bidiMessage struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

func dialBiDi(ctx context.Context, url string, event func(method string, params json.RawMessage)) (*bidi, error) {
	socket, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	socket.SetReadLimit(maxAnswer)
	b := &bidi{socket: socket, event: event, done: make(chan struct{}), waiting: map[int]chan bidiMessage{}}
	life, stop := context.WithCancel(context.Background())
	b.stop = stop
	go b.read(life)
	return b, nil
}

func (b *bidi) read(ctx context.Context) {
	defer close(b.done)
	for {
		_, data, err := b.socket.Read(ctx)
		if err != nil {
			return
		}
		var m bidiMessage
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		if m.Type == "event" {
			b.event(m.Method, m.Params)
			continue
		}
		b.mu.Lock()
		answer := b.waiting[m.ID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
}

// call sends a command and waits for its answer.
func (b *bidi) call(ctx context.Context, into any, method string, params any) error {
	answer := make(chan bidiMessage, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = answer
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting, id)
	}()
	data, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		return err
	}
	// A caller's end must not end the connection, which a write's does.
	if err := b.socket.Write(context.WithoutCancel(ctx), websocket.MessageText, data); err != nil {
		return err
	}
	select {
	case m := <-answer:
		if m.Type != "success" {
			return fmt.Errorf("%s: %s", m.Error, m.Message)
		}
		if into == nil {
			return nil
		}
		return json.Unmarshal(m.Result, into)
	case <-b.done:
		return fmt.Errorf("%s: the browser is gone", method)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *bidi) close() {
	b.stop()
	_ = b.socket.CloseNow()
}
