package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
)

// smallDisk is a directory on a file system of that size; false where none may be mounted.
func smallDisk(t *testing.T, size string) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("vsync-e2e", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Logf("no file system could be mounted, which takes root: %v", err)
		return "", false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// fill takes the last byte of a file system.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: the hub's disk is full. What devices push is refused and held on them, what the hub has can be read,
// by new devices and after kill -9 too; and when there is room, everything arrives.
func TestDiskFull(t *testing.T) {
	disk, ok := smallDisk(t, "12m")
	if !ok {
		return // as anybody else: package sqlite tells the same story with a bound of its own
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 6<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	h := program.Serve(t, filepath.Join(disk, "hub"))
	url := program.DatabaseURL(h.Addr(), database)
	root := t.TempDir()
	writer := join(t, filepath.Join(root, "writer"), url)
	written := writeUntilFull(t, writer)
	fill(t, filler+"2")
	full := func(s watcher.Status) bool { return s.Fault.Code == "QUOTA" && s.Pending > 0 }
	accepted := written - writer.State().Pending
	t.Logf("%d of %d writes were accepted: %+v", accepted, written, writer.feed.Status())

	reader := join(t, filepath.Join(root, "reader"), url)
	catchUp(t, reader, accepted)
	other := put(t, reader, "from the reader", 200_000)
	must(t, reader.reach(program.Soon(t), "the refusal", full))
	h.Restart()
	catchUp(t, join(t, filepath.Join(root, "late"), url), accepted)
	if local, err := dump(program.Soon(t), writer.Replica); err != nil || len(local) != written {
		t.Errorf("the writer has %d of its own %d objects, %v", len(local), written, err)
	}
	must(t, writer.close())

	must(t, errors.Join(os.Remove(filler), os.Remove(filler+"2")))
	writer = join(t, filepath.Join(root, "writer"), url)
	must(t, writer.Synced(program.Soon(t)))
	must(t, reader.close())
	reader = join(t, filepath.Join(root, "reader"), url) // it would come back by itself, when the hub has said
	must(t, reader.WaitSynced(program.Soon(t), other))
	devices := []*device{writer, reader, join(t, filepath.Join(root, "last"), url)}
	var dumps [][]string
	for _, d := range devices {
		catchUp(t, d, written+1)
		lines, err := dump(program.Soon(t), d.Replica)
		must(t, err)
		dumps = append(dumps, lines)
	}
	if len(dumps[0]) != written+1 || !slices.Equal(dumps[0], dumps[1]) || !slices.Equal(dumps[0], dumps[2]) {
		t.Errorf("the devices hold %d, %d and %d objects of %d", len(dumps[0]), len(dumps[1]), len(dumps[2]), written+1)
	}
	h.Stop(t)
	judge.Hub(t, h, database, nil)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// join opens a device whose feed runs. It is closed with the test.
func join(t *testing.T, dir, url string) *device {
	t.Helper()
	d, err := openDevice(program.Soon(t), dir, url, 1)
	must(t, err)
	d.follow()
	t.Cleanup(func() { d.close() })
	return d
}

func put(t *testing.T, d *device, id string, size int) change.Version {
	t.Helper()
	value, err := change.Encode(bytes.Repeat([]byte{1}, size))
	must(t, err)
	receipt, err := d.Put(program.Soon(t), change.Key{Collection: "files", ID: id}, value)
	must(t, err)
	return receipt.Version
}

// writeUntilFull writes until the hub refuses, and a little more.
func writeUntilFull(t *testing.T, d *device) (n int) {
	t.Helper()
	for d.feed.Status().Fault.Code != "QUOTA" {
		n++
		version := put(t, d, fmt.Sprintf("%04d", n), 100_000)
		ctx, cancel := context.WithCancel(program.Soon(t))
		go func() {
			d.reach(ctx, "a refusal", func(s watcher.Status) bool { return s.Fault.Code == "QUOTA" })
			cancel()
		}()
		if err := d.WaitSynced(ctx, version); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	for range 3 {
		n++
		put(t, d, fmt.Sprintf("%04d", n), 100_000)
	}
	return n
}

// catchUp waits until a device has the feed up to a sequence.
func catchUp(t *testing.T, d *device, seq int) {
	t.Helper()
	must(t, d.reach(program.Soon(t), "the feed", func(s watcher.Status) bool { return s.Marker.Seq == uint64(seq) }))
}
