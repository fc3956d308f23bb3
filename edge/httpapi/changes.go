package httpapi

import (
	"context"
	"time"

	"vsync/core"
)

// changes answers with what came behind a marker. Where there is nothing yet, it waits for it, as long as the client asks for. Without a
// marker it says which one is the present.
func (c *call) changes() error {
	limit, err := c.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	wait, err := c.duration("wait", maxWait)
	if err != nil {
		return err
	}
	since := c.query.Get("since")
	switch since {
	case "":
		view, err := c.db.Replica.View()
		if err != nil {
			return err
		}
		defer view.Release()
		return c.answer(eventPage{Events: []event{}, Marker: view.Marker()})
	case core.FromStart, core.FromNow:
		return invalid("expected since to be a marker of an export or of earlier changes, got %q", since)
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), wait)
	defer cancel()
	for {
		news := c.db.Replica.Changed() // before it is read: what comes meanwhile is no reason to wait
		page, err := c.behind(since, limit)
		if err != nil {
			return err
		}
		if len(page.Events) > 0 || wait == 0 || news == nil || !c.waits(ctx, news) {
			return c.answer(page)
		}
		since = page.Marker // of other collections
	}
}

// waits for news. It reports false when the time is over, or the token's.
func (c *call) waits(ctx context.Context, news <-chan struct{}) bool {
	if c.grant.Expires > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.UnixMilli(int64(min(c.grant.Expires, 1<<52))).Sub(c.cfg.Now()))
		defer cancel()
	}
	select {
	case <-news:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// behind returns what there is behind a marker now, of one collection or all.
func (c *call) behind(since string, limit int) (eventPage, error) {
	page, bytes := eventPage{Events: []event{}, Marker: since}, 0
	collection := c.query.Get("collection")
	for e, err := range c.db.Replica.Watch(c.r.Context(), core.WatchOptions{From: since, Once: true}) {
		switch {
		case err != nil:
			return page, err
		case e.Initial:
			return page, &core.Error{Code: core.UnknownMarker, Message: "this database does not know the marker, or not any more; " +
				"export everything anew, and go on from the marker that comes with it"}
		}
		if page.More = len(page.Events) == limit || bytes >= pageBytes; page.More {
			break
		}
		one := event{Marker: e.Marker, Version: e.Version.String(), Time: e.Time, Note: e.Note}
		for _, x := range e.Changes {
			if collection != "" && x.Key.Collection != collection {
				continue
			}
			o, err := objectOf(x)
			if err != nil {
				return page, err
			}
			bytes += len(o.Value)
			one.Changes = append(one.Changes, o)
		}
		if page.Marker = e.Marker; len(one.Changes) > 0 {
			page.Events = append(page.Events, one)
		}
	}
	return page, nil
}
