package httpapi

import (
	"encoding/json"
	"net/http"

	"vsync/core"
)

// export sends all objects, or those of a collection, as they are at one moment: a line is one object, and `vsync import --exported`
// reads them. The header Vsync-Marker is that moment: what changes gives since it is what came behind it. Where the hub fails in between,
// the last line is an error.
func (c *call) export() error {
	view, err := c.db.Replica.View()
	if err != nil {
		return err
	}
	defer view.Release()
	q := core.ScanRange{Collection: c.query.Get("collection")}
	text := make([]byte, 0, chunk+chunk/4)
	for e, err := range view.Scan(c.r.Context(), q) {
		if text, err = c.appendLine(text, e, q.Collection == "", err); err != nil {
			return c.broken(text, err)
		}
		if len(text) < chunk {
			continue
		}
		c.begin(view.Marker())
		if err := c.send(text); err != nil {
			return nil // nobody reads it any more
		}
		text = text[:0]
	}
	c.begin(view.Marker())
	_ = c.send(text)
	return nil
}

func (c *call) appendLine(text []byte, e core.Entry, named bool, err error) ([]byte, error) {
	if err != nil {
		return text, err
	}
	l := line{ID: e.Key.ID}
	if named {
		l.Collection = e.Key.Collection
	}
	if l.Value, err = valueOf(e.Value); err != nil {
		return text, err
	}
	one, err := json.Marshal(l)
	return append(append(text, one...), '\n'), err
}

// begin sends the head of an export, once.
func (c *call) begin(marker string) {
	if c.started {
		return
	}
	c.started = true
	c.w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	c.w.Header().Set("Vsync-Marker", marker)
	c.w.WriteHeader(http.StatusOK)
}

// broken ends an export that cannot go on: as any error, or where something is sent already, with a line that is none of an export.
func (c *call) broken(text []byte, err error) error {
	if !c.started {
		return err
	}
	p, _ := json.Marshal(map[string]problem{"error": problemOf(err)})
	_ = c.send(append(append(text, p...), '\n'))
	return nil
}
