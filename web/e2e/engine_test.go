package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vsync/web/browser"
)

// engines are the shared workers of an application: where its engines are.
func (w *world) engines(d *device) (workers []browser.Target, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b := browser.AsChromium(d.Driver)
	if b == nil {
		return nil, nil // nobody else tells
	}
	targets, err := b.Targets(ctx)
	for _, target := range targets {
		if target.Type == "shared_worker" && strings.HasPrefix(target.URL, w.site.URL+"/") {
			workers = append(workers, target)
		}
	}
	return workers, err
}

// errNoEngine says that none is there, as where the page that held it has crashed, and another one is being begun.
var errNoEngine = errors.New("want one shared worker, there is none")

// endEngine ends the one shared worker that holds the engine of a device, as a browser does that needs the memory.
func (w *world) endEngine(d *device) error {
	d.chromium(w.t)
	workers, err := w.engines(d)
	if err != nil {
		return err
	}
	if len(workers) == 0 {
		return errNoEngine
	}
	if len(workers) > 1 {
		return fmt.Errorf("want one shared worker, there are %+v", workers)
	}
	return browser.AsChromium(d.Driver).CloseTarget(context.Background(), workers[0].ID)
}

// endEngineOf ends the shared worker with this script.
func (w *world) endEngineOf(d *device, script string) error {
	d.chromium(w.t)
	workers, err := w.engines(d)
	if err != nil {
		return err
	}
	for _, worker := range workers {
		if worker.URL == w.site.URL+script {
			return browser.AsChromium(d.Driver).CloseTarget(context.Background(), worker.ID)
		}
	}
	return fmt.Errorf("no shared worker has the script %s: %+v", script, workers)
}

// endEngines ends what would live on for a while after its last page.
func (w *world) endEngines() {
	for _, d := range []*device{anna, bert} {
		if d.Driver == nil {
			continue
		}
		workers, _ := w.engines(d) // a browser that is gone has none
		for _, worker := range workers {
			_ = browser.AsChromium(d.Driver).CloseTarget(context.Background(), worker.ID) // it may have ended meanwhile
		}
	}
}
