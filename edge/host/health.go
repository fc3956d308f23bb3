package host

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"vsync/core/change"
	"vsync/edge/token"
)

// health is what GET /v1/health answers; the page shows it, and openapi.json describes it.
type health struct {
	Status      string  `json:"status"` // "ok", or "degraded": message says why
	Message     string  `json:"message,omitempty"`
	Version     string  `json:"version"`
	Host        string  `json:"host"`
	Uptime      int64   `json:"uptime"` // in seconds
	Connections int     `json:"connections"`
	Databases   []facts `json:"databases"` // all that have a file, by name
}

// facts are a database in health. A database that was not opened since the start has no numbers.
type facts struct {
	Name        string  `json:"name"`
	Devices     *int    `json:"devices,omitempty"` // that connected since the start
	Connections int     `json:"connections"`
	Head        *uint64 `json:"head,omitempty"` // last sequence of the feed
}

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	h := health{Status: "ok", Version: s.cfg.Version, Host: "native", Uptime: int64(time.Since(s.started).Seconds()), Connections: s.connections()}
	var wrong []string
	h.Databases, wrong = s.dbs.facts(s.cfg.sees(token.Bearer(r.Header.Get("Authorization"))))
	status := http.StatusOK
	if len(wrong) > 0 {
		status, h.Status, h.Message = http.StatusServiceUnavailable, "degraded", wrong[0]
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h)
}

// facts describes all databases that are to be seen, and what is wrong with some.
func (ds *databases) facts(sees func(string) bool) (list []facts, wrong []string) {
	names, err := ds.names()
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	list = []facts{}
	for _, name := range names {
		if !sees(name) {
			continue
		}
		f := facts{Name: name}
		if last, known := ds.last[name]; known {
			f = last
		}
		if d := ds.named[name]; d != nil && d.hub != nil {
			f = d.facts()
		}
		list = append(list, f)
	}
	for _, name := range slices.Sorted(maps.Keys(ds.wrong)) {
		text := "database " + name + ": " + ds.wrong[name]
		if !sees(name) {
			text = "a database of the hub cannot be used; its operator has to look"
		}
		wrong = append(wrong, text)
	}
	return list, wrong
}

func (d *database) facts() facts {
	stats, devices := d.hub.Stats(), d.seen.count()
	return facts{Name: d.name, Devices: &devices, Connections: stats.Connections, Head: &stats.Head}
}

// seen is the set of devices that said hello.
type seen struct {
	mu  sync.Mutex
	ids map[change.DeviceID]struct{}
}

func (s *seen) add(id change.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[change.DeviceID]struct{}{}
	}
	if !id.IsZero() && len(s.ids) < maxSeen {
		s.ids[id] = struct{}{}
	}
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}
