package host

import (
	"context"
	"net/http"

	"vsync/edge"
	"vsync/edge/httpapi"
)

// isAPI says whether a request is for the API. A database may be called openapi.json: an upgrade means that.
func isAPI(r *http.Request) bool { return httpapi.Serves(r.URL.Path) && r.Header.Get("Upgrade") == "" }

func (s *Server) newAPI() *httpapi.API {
	cfg := httpapi.Config{Open: s.openFor, Patience: s.cfg.Patience, Origin: func(r *http.Request) bool { return s.guard.allows(r.Header.Get("Origin"), r.Host) }}
	if s.cfg.Keys != nil {
		cfg.Auth = func(ctx context.Context, text, database string) (edge.Grant, error) {
			return s.cfg.grant(ctx, text, database)
		}
	}
	return httpapi.New(cfg)
}

// serveAPI counts a request as a connection, so that there are not too many, and none is left when databases are closed.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	if err := s.enter(); err != nil {
		httpapi.Refuse(w, err)
		return
	}
	defer s.leave()
	s.api.ServeHTTP(w, r)
}

// openFor opens a database for a request of the API. Reading makes none.
func (s *Server) openFor(_ context.Context, name string, write bool) (httpapi.Database, error) {
	if !ValidName(name) {
		return httpapi.Database{}, fail(httpapi.NotFound, "the name of a database has 1 to 64 characters of a-z 0-9 . _ -")
	}
	if !write && !s.dbs.exists(name) {
		return httpapi.Database{}, fail(httpapi.NotFound, "there is no database %q; the first write makes it", name)
	}
	d, err := s.dbs.acquire(name)
	if err != nil {
		return httpapi.Database{}, err
	}
	return httpapi.Database{Replica: d.replica, Charge: d.hub.Charge, Release: func() { s.dbs.release(d) }}, nil
}
