package host

import (
	"errors"
	"io/fs"
	"net"
	"strconv"
	"syscall"

	"vsync/core"
	"vsync/edge/token"
)

// Listen opens the port on an address: of this machine alone, where there are no keys. "localhost" is both of its addresses, where
// there are two. Port 0 is a free one.
//
// Errors: FORBIDDEN for any other address without keys; PORT_IN_USE; INVALID.
func Listen(host string, port int, keys *token.Keys) ([]net.Listener, error) {
	if keys == nil && !isLoopback(host) {
		return nil, fail(core.Forbidden, "the hub listens on this machine alone (localhost, 127.0.0.1 or ::1), not on %q: "+
			"it has no keys, so whoever reached it could read and write everything; give it some with --keys", host)
	}
	if host != "localhost" {
		l, err := listen(host, port)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	first, err := listen("127.0.0.1", port)
	if err != nil {
		return nil, err
	}
	second, err := listen("::1", Port(first))
	var in *core.Error
	switch {
	case err == nil:
		return []net.Listener{first, second}, nil
	case port != 0 && errors.As(err, &in) && in.Code == PortInUse:
		first.Close()
		return nil, err
	}
	return []net.Listener{first}, nil // there is no ::1, or a port that was free by chance is not on it
}

// Port returns the port of a listener.
func Port(l net.Listener) int {
	if a, is := l.Addr().(*net.TCPAddr); is {
		return a.Port
	}
	return 0
}

func listen(host string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fail(PortInUse, "port %d is in use by another program; end that one, or choose another with --port", port)
	case errors.Is(err, fs.ErrPermission):
		return nil, fail(core.Forbidden, "port %d is not for everybody; choose one above 1023 with --port", port)
	}
	return nil, &core.Error{Code: core.Invalid, Message: "the port cannot be opened", Err: err}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
