package httpapi

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"vsync/core"
)

// object answers with one object; one that is deleted, or never was, is NOT_FOUND, with its frontier.
func (c *call) object() error {
	key := c.key()
	e, found, err := c.db.Replica.Get(c.r.Context(), key)
	if err != nil {
		return err
	}
	if e.Key = key; !found {
		e.Deleted = !e.Version.IsZero() || len(e.Frontier) > 0
		o, err := objectOf(e)
		if err != nil {
			return err
		}
		return &conflict{&core.Error{Code: NotFound, Message: "there is no such object"}, []object{o}}
	}
	o, err := objectOf(e)
	if err != nil {
		return err
	}
	return c.answer(o)
}

// history answers with the versions of an object.
func (c *call) history() error {
	limit, err := c.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	page, bytes := versionPage{Versions: []version{}}, 0
	for h, err := range c.db.Replica.History(c.r.Context(), c.key()) {
		if err != nil {
			return err
		}
		if page.More = len(page.Versions) == limit || bytes >= pageBytes; page.More {
			break
		}
		v := version{Version: h.Version.String(), Parents: texts(h.Parents), Time: h.Time, Deleted: h.Deleted, Note: h.Note}
		if !h.Deleted {
			if v.Value, err = valueOf(h.Value); err != nil {
				return err
			}
		}
		bytes += len(v.Value)
		page.Versions = append(page.Versions, v)
	}
	if len(page.Versions) == 0 {
		return &core.Error{Code: NotFound, Message: "there is no such object, and never was"}
	}
	return c.answer(page)
}

// scan answers with a page of a collection. Pages are of different moments.
func (c *call) scan() error {
	limit, err := c.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	q := core.ScanRange{Collection: c.query.Get("collection"), Prefix: c.query.Get("prefix"), Limit: limit + 1}
	if q.Collection == "" {
		return invalid("expected a collection in the query; export gives all of them")
	}
	if q.From, err = parseCursor(c.query.Get("cursor")); err != nil {
		return err
	}
	page, bytes := objectPage{Objects: []object{}}, 0
	for e, err := range c.db.Replica.Scan(c.r.Context(), q) {
		if err != nil {
			return err
		}
		if len(page.Objects) == limit || bytes >= pageBytes {
			page.Cursor = cursorTo(e.Key.ID)
			break
		}
		o, err := objectOf(e)
		if err != nil {
			return err
		}
		bytes += len(o.Value)
		page.Objects = append(page.Objects, o)
	}
	return c.answer(page)
}

// A cursor is the id with which the next page begins.
func cursorTo(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

func parseCursor(text string) (id string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !utf8.Valid(b) {
		return "", invalid("%q is no cursor; give the one that the page before had", clip(text))
	}
	return string(b), nil
}

// number reads a whole number of the query, from 1 to a limit.
func (c *call) number(name string, standard, limit int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, invalid("expected %s to be a whole number from 1 to %d, got %q", name, limit, clip(text))
	}
	return n, nil
}

// duration reads whole seconds of the query, from 0 to a limit.
func (c *call) duration(name string, limit time.Duration) (time.Duration, error) {
	text := c.query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if d := time.Duration(n) * time.Second; err == nil && n >= 0 && n <= int(limit/time.Second) {
		return d, nil
	}
	return 0, &core.Error{Code: core.Invalid, Message: fmt.Sprintf("expected %s to be whole seconds from 0 to %d, got %q", name, int(limit/time.Second), clip(text))}
}
