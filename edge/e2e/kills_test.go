package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
)

var killsFlag = flag.Int("kills", 20, "how often TestKills kills the hub")

// TestKills: services write while the hub is killed, again and again, and repeat what was not answered. What was acknowledged is there, each
// write once.
func TestKills(t *testing.T) {
	t.Parallel() // the hub is its own
	h := program.Serve(t, t.TempDir())
	c := &client{t: t, base: "http://" + h.Addr()}
	var acknowledged atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				id := fmt.Sprintf("%d-%06d", w, n)
				body := fmt.Sprintf(`{"writes": [{"collection": "kills", "id": %q, "value": %d}]}`, id, n)
				for !c.posts("/v1/e2e/batch", body, id) {
				}
				acknowledged.Add(1)
			}
		})
	}
	for range *killsFlag {
		for until, patience := acknowledged.Load()+50, time.After(program.Patience); acknowledged.Load() < until; {
			select {
			case <-patience:
				t.Fatal("nothing is acknowledged any more")
			case <-time.After(time.Millisecond):
			}
		}
		h.Restart()
	}
	close(done)
	group.Wait()
	lines := strings.Split(strings.TrimSpace(c.ask("GET", "/v1/e2e/export?collection=kills", "").is(t, "export", 200, "").Text), "\n")
	if len(lines) != int(acknowledged.Load()) {
		t.Errorf("%d writes were acknowledged, and %d are there", acknowledged.Load(), len(lines))
	}
	for _, line := range lines {
		var o found
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err, line)
		}
		if history := c.ask("GET", "/v1/e2e/history?collection=kills&id="+o.ID, ""); len(history.Versions) != 1 {
			t.Fatalf("%s was written %d times", o.ID, len(history.Versions))
		}
	}
	t.Logf("%d kills, %d writes acknowledged, all there once", *killsFlag, acknowledged.Load())
	h.Stop(t)
	judge.Hub(t, h, database, nil)
}

// posts writes a batch under a name, and reports whether that was acknowledged. It waits a little where it was not.
func (c *client) posts(path, body, name string) bool {
	req, err := http.NewRequest("POST", c.base+path, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", name)
	resp, err := killed.Do(req)
	if err != nil {
		<-time.After(10 * time.Millisecond)
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

// killed are connections to hubs that are killed; what is not answered is asked again.
var killed = &http.Client{Timeout: 10 * time.Second}
