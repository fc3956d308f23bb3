package host

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/ws"
)

// errGone says that a socket has ended, and has said why itself.
var errGone = errors.New("host: the socket is gone")

// serveFeed serves GET /v1/<database>: it returns when the socket is gone.
func (s *Server) serveFeed(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("database")
	if !ValidName(name) {
		http.Error(w, "the name of a database has 1 to 64 characters of a-z 0-9 . _ -", http.StatusNotFound)
		return
	}
	if err := s.enter(); err != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	socket, err := ws.Accept(w, r, ws.AcceptOptions{Origins: []string{"*"}}) // the guard has judged it
	if err != nil {
		return
	}
	hello, grant, err := s.cfg.admit(socket, name)
	if errors.Is(err, errGone) {
		socket.Close(wire.CloseNormal, "")
		return
	}
	if err != nil {
		turnAway(socket, err)
		return
	}
	if grant.ReadOnly && !s.dbs.exists(name) {
		turnAway(socket, edge.NoDatabase(name))
		return
	}
	d, err := s.dbs.acquire(name)
	if err != nil {
		turnAway(socket, err)
		return
	}
	defer s.dbs.release(d)
	d.carry(socket, edge.Peer{Address: r.RemoteAddr}, hello)
}

// carry moves frames between a socket and the hub until both are done with each other. The first frame may be here already.
func (d *database) carry(socket *ws.Conn, peer edge.Peer, first []byte) {
	c := d.hub.Connect(Now(), peer)
	go d.read(socket, c, first)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		write(socket, c)
	}()
	select {
	case <-wrote:
	case <-c.Done():
	}
	select { // a peer that does not read gets no more time than this
	case <-wrote:
	case <-time.After(lastWord):
		socket.Close(wire.CloseFault, "what was left could not be written")
		<-wrote
	}
	c.Close()
}

// read gives the hub what comes; pushes that came while it worked share a commit. Its end is the connection's, unless the hub ended it before.
func (d *database) read(socket *ws.Conn, c *edge.Conn, first []byte) {
	defer c.Close()
	greeted := false
	var frames [][]byte
	if first != nil {
		frames = [][]byte{first}
	}
	for ; ; frames = nil {
		if frames == nil {
			var err error
			if frames, err = socket.ReadAll(context.Background()); err != nil {
				return
			}
		}
		if c.ReceiveAll(context.Background(), Now(), frames) != nil {
			return
		}
		if !greeted {
			greeted = true
			d.seen.add(c.Info().Device)
		}
	}
}

// write sends what the hub has for the device, and closes the socket behind the last of it.
func write(socket wire.Conn, c *edge.Conn) {
	for {
		frame, err := c.Next(context.Background())
		if err != nil {
			end := &edge.End{Code: wire.CloseFault, Reason: "the hub has failed"}
			errors.As(err, &end)
			socket.Close(end.Code, end.Reason)
			return
		}
		if err := socket.Write(context.Background(), frame); err != nil {
			c.Close()
			socket.Close(wire.CloseAbnormal, "")
			return
		}
	}
}

// turnAway says why there is no hub for a socket, in the protocol's words.
func turnAway(socket wire.Conn, err error) {
	frame, end := edge.TurnAway(err)
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	_ = socket.Write(ctx, frame)
	socket.Close(end.Code, end.Reason)
}
