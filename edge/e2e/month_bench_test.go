//go:build workerd

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
)

// What a database in a Durable Object costs: it is used as people use it, in real time, and what the platform would count is counted
// (edge/worker/bill). Nothing of it is work, so all of these run at the same time; objects really sleep between what comes.

// fallsAsleep is more than the 10 s after which an object sleeps that has nothing to do.
const fallsAsleep = 12 * time.Second

// A bill is what edge/worker/bill has counted.
type bill struct {
	Commits, RowsRead, RowsWritten, Bytes, Fetches, Messages, Alarms, Wakings float64
	Awake                                                                     float64 // ms
	Memory                                                                    float64 // bytes, of the program that began last
}

// billOf asks no object, and wakes none.
func billOf(h *program.Hub) (b bill, err error) {
	resp, err := http.Get("http://" + h.Addr() + "/v1/" + database + "/bill")
	if err != nil {
		return b, err
	}
	defer resp.Body.Close()
	return b, json.NewDecoder(resp.Body).Decode(&b)
}

func (b bill) minus(o bill) bill {
	return bill{b.Commits - o.Commits, b.RowsRead - o.RowsRead, b.RowsWritten - o.RowsWritten, b.Bytes - o.Bytes, b.Fetches - o.Fetches,
		b.Messages - o.Messages, b.Alarms - o.Alarms, b.Wakings - o.Wakings, b.Awake - o.Awake, b.Memory}
}

// requests are those of an object as they are billed.
func (b bill) requests() float64 { return b.Fetches + b.Messages/20 + b.Alarms }

// dollars by what is counted: rows; requests, those of the Worker in front too; time awake, with 128 MB. See README.md.
func (b bill) dollars() (rows, requests, awake float64) {
	const million = 1e6
	return (b.RowsWritten*1 + b.RowsRead*0.001) / million, (b.requests()*0.15 + b.Fetches*0.30) / million, b.Awake / 1000 * 0.128 * 12.50 / million
}

// A usage is one way in which a database is used.
type usage struct {
	name    string
	variant string  // of the Worker
	month   float64 // how many changes a month has; 0: that is no line of the table
	what    string  // as the table says it
	use     func(u *usage) error
	always  bool // it never sleeps, however short the time between its handlers

	b       *testing.B
	hub     *program.Hub
	changes int // that use has made
	bill    bill
}

// usages are all, and what a month of each is.
func usages() []*usage {
	const people, teams, hour = 10_000, 100, 3600
	return []*usage{
		{name: "sparse/plain", variant: "billed-plain", use: useSparse},
		{name: "sparse/hub", variant: "billed", use: useSparse},
		{name: "visits", variant: "billed", use: useVisits},
		{name: "notes", variant: "billed", use: useNotes, month: people * 10 * 5 * 30, what: "notes: 10,000 people with a database each, 10 times a day 5 changes in 5 s"},
		{name: "boards", variant: "billed", use: useBoard, month: teams * 22 * 8 * hour / 10, what: "boards: 100 teams of 10, 22 days of 8 hours, a change every 10 s"},
		{name: "sensors", variant: "billed", use: useSensors, always: true, month: 200 * 30 * 24 * hour, what: "sensors: 20 devices in one database, 200 changes a second, 64 a frame, always awake"},
	}
}

// BenchmarkEdgeMonth tells what a change costs in each use, and prints what a month of it does, as a table. It takes two minutes.
func BenchmarkEdgeMonth(b *testing.B) {
	var all sync.WaitGroup
	list := usages()
	for _, u := range list {
		u.b, u.hub = b, program.NewVariant(b, b.TempDir(), u.variant)
		u.hub.Start()
		all.Go(func() {
			if err := u.use(u); err != nil {
				b.Errorf("%s: %v", u.name, err)
			}
		})
	}
	all.Wait()
	if b.Failed() {
		return
	}
	table := []string{"| | changes | rows | requests | awake | dollars |", "|---|--:|--:|--:|--:|--:|"}
	for _, u := range list {
		n := float64(u.changes)
		b.Run(u.name, func(b *testing.B) {
			b.ReportMetric(u.bill.RowsWritten/n, "rows/change")
			b.ReportMetric(u.bill.Bytes/n, "stored-B/change")
			b.ReportMetric(u.bill.RowsRead/n, "rows-read/change")
			b.ReportMetric(u.bill.Messages/n, "messages/change")
			b.ReportMetric(u.bill.requests()/n, "requests/change")
			b.ReportMetric(u.bill.Awake/n, "awake-ms/change")
			b.ReportMetric(u.bill.Wakings, "wakings")
			b.ReportMetric(n, "changes")
			b.ReportMetric(0, "ns/op")
		})
		if u.month > 0 {
			table = append(table, u.line())
		}
	}
	fmt.Fprintln(os.Stdout, "\n"+strings.Join(table, "\n"))
}

// line is a month of it.
func (u *usage) line() string {
	times := u.month / float64(u.changes)
	month := bill{RowsRead: u.bill.RowsRead * times, RowsWritten: u.bill.RowsWritten * times, Fetches: u.bill.Fetches * times,
		Messages: u.bill.Messages * times, Alarms: u.bill.Alarms * times, Awake: u.bill.Awake * times}
	if u.always {
		month.Awake = 30 * 24 * 3600 * 1000
	}
	rows, requests, awake := month.dollars()
	return fmt.Sprintf("| %s | %s | %s | %s | %s s | %.1f + %.1f + %.1f = %.0f |", u.what, millions(u.month), millions(month.RowsWritten),
		millions(month.requests()), millions(month.Awake/1000), rows, requests, awake, rows+requests+awake)
}

func millions(n float64) string {
	if n >= 100e6 {
		return fmt.Sprintf("%.0f M", n/1e6)
	}
	return fmt.Sprintf("%.1f M", n/1e6)
}

// counts has what f does counted. It begins and ends with an object that sleeps, so that what comes late is in it.
func (u *usage) counts(f func() error) error {
	time.Sleep(fallsAsleep)
	before, err := billOf(u.hub)
	if err == nil {
		err = f()
	}
	if err != nil {
		return err
	}
	time.Sleep(fallsAsleep)
	after, err := billOf(u.hub)
	u.bill = after.minus(before)
	return err
}

// useSparse: one change every 15 s, to an object that sleeps in between.
func useSparse(u *usage) error {
	s := enterBench(u.b, program.DatabaseURL(u.hub.Addr(), database), change.DeviceID{1}, u.variant == "billed-plain")
	defer s.conn.Close(wire.CloseNormal, "")
	frames := pushFrames(u.b, change.DeviceID{1}, 7, 1, 1)
	if err := s.sendOne(frames[0], 1); err != nil { // what a database costs once
		return err
	}
	err := u.counts(func() error {
		for i, frame := range frames[1:] {
			if err := s.sendOne(frame, i+2); err != nil {
				return err
			}
			u.changes++
			time.Sleep(15 * time.Second)
		}
		return nil
	})
	if err == nil && u.bill.Wakings != float64(u.changes) {
		err = fmt.Errorf("%v wakings for %d changes: it has not slept between them, or was wakened for nothing", u.bill.Wakings, u.changes)
	}
	return err
}

// useVisits: somebody comes, looks, and leaves. A change is a visit here.
func useVisits(u *usage) error {
	path := filepath.Join(u.b.TempDir(), "visitor")
	visit := func() error {
		d, err := u.device(path, 1)
		if err != nil {
			return err
		}
		u.changes++
		return d.close()
	}
	if err := visit(); err != nil {
		return err
	}
	u.changes = 0
	return u.counts(func() error {
		for range 5 {
			if err := visit(); err != nil {
				return err
			}
			time.Sleep(fallsAsleep)
		}
		return nil
	})
}

// useNotes: somebody comes, changes something every second, and leaves, and the object sleeps until they come again.
func useNotes(u *usage) error {
	path := filepath.Join(u.b.TempDir(), "notes")
	session := func(changes int) error {
		d, err := u.device(path, 1)
		if err != nil {
			return err
		}
		for n := range changes {
			if err := u.put(d, fmt.Sprint("note ", n%3)); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return d.close()
	}
	if err := session(1); err != nil {
		return err
	}
	u.changes = 0
	return u.counts(func() error {
		for range 5 {
			if err := session(5); err != nil {
				return err
			}
			time.Sleep(fallsAsleep)
		}
		return nil
	})
}

// useBoard: ten people have a board open, and one of them changes something every 10 s.
func useBoard(u *usage) error {
	var team []*device
	for n := range 10 {
		d, err := u.device(filepath.Join(u.b.TempDir(), fmt.Sprint(n)), uint64(n))
		if err != nil {
			return err
		}
		defer func() { _ = d.close() }()
		team = append(team, d)
	}
	return u.counts(func() error {
		for n := range 9 {
			if err := u.put(team[n%len(team)], fmt.Sprint("card ", n)); err != nil {
				return err
			}
			time.Sleep(10 * time.Second)
		}
		return nil
	})
}

// useSensors: 20 devices write 10 changes a second each, and send them 64 at a time, written together. None of them reads.
func useSensors(u *usage) error {
	const sensors, rounds, each = 20, 12, 64
	url := program.DatabaseURL(u.hub.Addr(), database)
	var writers []func(round int) error
	for n := range sensors {
		s := enterBench(u.b, url, change.DeviceID{1, byte(n)}, false)
		defer s.conn.Close(wire.CloseNormal, "")
		frames := pushFrames(u.b, change.DeviceID{1, byte(n)}, rounds, 1, each)
		go s.follow()
		writers = append(writers, func(round int) error { return s.conn.Write(u.b.Context(), frames[round]) })
	}
	return u.counts(func() error {
		ticker := time.NewTicker(time.Second * each / 200)
		defer ticker.Stop()
		for round := range rounds {
			for _, write := range writers {
				<-ticker.C
				if err := write(round); err != nil {
					return err
				}
				u.changes += each
			}
		}
		return nil
	})
}

// follow takes what the hub sends, and says seen, until the connection ends.
func (c *benchConn) follow() {
	_ = c.readAll(1<<30, 1)
}

// device is a device of its own that is live.
func (u *usage) device(path string, seed uint64) (*device, error) {
	ctx := u.b.Context()
	d, err := openDevice(ctx, path, program.DatabaseURL(u.hub.Addr(), database), seed)
	if err != nil {
		return nil, err
	}
	d.follow()
	return d, d.reach(ctx, "being live", func(s watcher.Status) bool { return s.Phase == watcher.PhaseLive })
}

// put writes 190 bytes on a device, and waits until the hub has them.
func (u *usage) put(d *device, id string) error {
	value, err := change.Encode(strings.Repeat("v", 190))
	if err != nil {
		return err
	}
	receipt, err := d.Put(u.b.Context(), change.Key{Collection: notes, ID: id}, value)
	if err == nil {
		err = d.WaitSynced(u.b.Context(), receipt.Version)
	}
	u.changes++
	return err
}

// BenchmarkEdgeBoot: from dialing until a database that is new answers; and one that runs. The plain one has no welcome: it answers a message.
func BenchmarkEdgeBoot(b *testing.B) {
	for _, variant := range []string{"plain", "hub"} {
		b.Run(variant, func(b *testing.B) {
			h := program.NewVariant(b, b.TempDir(), variant)
			h.Start()
			knock := func(name string, device byte) time.Duration {
				from := time.Now()
				c := dialBench(b, program.DatabaseURL(h.Addr(), name))
				defer c.conn.Close(wire.CloseNormal, "")
				c.greet(b, name, change.DeviceID{device})
				return time.Since(from)
			}
			var boots, runs []time.Duration
			for i := range 25 {
				name := fmt.Sprint("boot-", i)
				boots, runs = append(boots, knock(name, 1)), append(runs, knock(name, 2))
			}
			b.ReportMetric(medianMs(boots[5:]), "ms/boot") // the first ones compile
			b.ReportMetric(medianMs(runs[5:]), "ms/running")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func medianMs(list []time.Duration) float64 {
	slices.SortFunc(list, cmp.Compare[time.Duration])
	return float64(list[len(list)/2].Microseconds()) / 1000
}
