package web

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFilesHoldThePage(t *testing.T) {
	for _, name := range []string{"index.html", "page.css", "page.js", "icon.svg"} {
		data, err := fs.ReadFile(Files(), name)
		if err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestFilesHideWhatIsForHosts(t *testing.T) {
	for _, name := range []string{".keep", "_headers", "static/index.html", "nothing.txt"} {
		if _, err := Files().Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want %v", name, err, fs.ErrNotExist)
		}
	}
	for _, name := range []string{"/index.html", "../embed.go", ""} {
		if _, err := Files().Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v, want %v", name, err, fs.ErrInvalid)
		}
	}
}

func TestFilesServeOverHTTP(t *testing.T) {
	server := http.FileServerFS(Files())
	for target, want := range map[string]string{
		"/":         "text/html",
		"/page.js":  "javascript",
		"/page.css": "text/css",
		"/icon.svg": "image/svg+xml",
	} {
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, httptest.NewRequest("GET", target, nil))
		if answer.Code != http.StatusOK || !strings.Contains(answer.Header().Get("Content-Type"), want) {
			t.Errorf("%s: %d %s, want 200 %s", target, answer.Code, answer.Header().Get("Content-Type"), want)
		}
	}
}
