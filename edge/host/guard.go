package host

import (
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	"vsync/core"
	"vsync/edge/httpapi"
)

// A guard lets a request in by its Host and its Origin.
//
// Host must be a name of this machine, or of an allowed origin: a website can give its own name this
// machine's address, and then its page would be of the hub's own origin. A hub with keys has any name: such a page has no token. Origin, where there is one (browsers
// send it with every upgrade), must be the hub's own or an allowed one, but for the SDK's files.
type guard struct {
	allowed []origin
	anyHost bool
}

// An origin as --origin names it.
type origin struct{ scheme, host string } // host: a pattern of path.Match; "null" has neither

func newGuard(origins []string, anyHost bool) (g guard, err error) {
	g.anyHost = anyHost
	for _, text := range origins {
		o, err := parseOrigin(text)
		if err != nil {
			return g, err
		}
		g.allowed = append(g.allowed, o)
	}
	return g, nil
}

// parseOrigin reads scheme://host or scheme://host:port, as browsers write it; the host may have * in it, as
// in https://*.example.com. "null" is what files and sandboxed pages have.
func parseOrigin(text string) (origin, error) {
	if text == "null" {
		return origin{}, nil
	}
	wrong := fail(core.Invalid, "the origin %q cannot be used: expected scheme://host or scheme://host:port, such as https://app.example", text)
	scheme, host, is := strings.Cut(strings.ToLower(strings.TrimSuffix(text, "/")), "://")
	if _, err := path.Match(host, ""); !is || scheme == "" || host == "" || strings.ContainsAny(host, "/?#@ ") || err != nil {
		return origin{}, wrong
	}
	return origin{scheme: scheme, host: host}, nil
}

func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	switch {
	case !g.anyHost && !g.knowsHost(r.Host):
		forbid(w, r, "this hub is not called "+r.Host+"; start it with --origin if it should be")
	case !publicPaths[r.URL.Path] && !g.allows(r.Header.Get("Origin"), r.Host):
		forbid(w, r, "pages of "+r.Header.Get("Origin")+" may not use this hub; start it with --origin if they should")
	default:
		next(w, r)
	}
}

// forbid says no, to programs as they expect it.
func forbid(w http.ResponseWriter, r *http.Request, text string) {
	if isAPI(r) {
		httpapi.Refuse(w, fail(core.Forbidden, "%s", text))
		return
	}
	http.Error(w, text, http.StatusForbidden)
}

func (g guard) knowsHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if isLoopback(name) || strings.HasSuffix(name, ".localhost") {
		return true
	}
	for _, o := range g.allowed {
		if matches(o.host, host) {
			return true
		}
	}
	return false
}

func (g guard) allows(text, host string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	if u.Host != "" && strings.EqualFold(u.Host, host) {
		return true
	}
	for _, o := range g.allowed {
		if o == (origin{}) && text == "null" || o.scheme == u.Scheme && matches(o.host, u.Host) {
			return true
		}
	}
	return false
}

func matches(pattern, host string) bool {
	ok, err := path.Match(pattern, strings.ToLower(host))
	return ok && err == nil && host != ""
}
