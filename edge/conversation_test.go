package edge

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

var update = flag.Bool("update", false, "write the conversations' answers anew")

// A conversation is a text: lines that begin with a name are done, indented ones are what came of it.
//
//	A hello [credit N] [db NAME] [lin other] [mk none|wrong] [tok TEXT] [p N]     connects first
//	A write N [size N] [parent B:3] [spoiled]       makes own batches
//	A forget N                                      own generations from N on are gone
//	A push N [to N] [parts] [alone]                 sends own generations
//	A part N I                                      sends part I of own generation N
//	A seen [N | wrongly] | ping N | raw HEX | close
//	hub tick DURATION | quota | room | close
//
// A line with the word "unread" leaves what came where it is. A and A2 are two programs with one
// device id.
type conversation struct {
	t       *testing.T
	disk    *disk
	hub     *Hub
	now     uint64
	devices map[string]*device
}

// A disk is a replica that may be out of room.
type disk struct {
	Replica
	full bool
}

func (d *disk) Accept(ctx context.Context, in []core.Incoming) ([]core.Verdict, error) {
	if d.full {
		return nil, &core.Error{Code: core.Quota}
	}
	return d.Replica.Accept(ctx, in)
}

// partBudget is the size of frames for those who push in parts.
const partBudget = wire.MinFrameBudget

func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				script = []byte(converse(t, newFake(), string(script)))
				if err := os.WriteFile(file, script, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			everyReplica(t, func(t *testing.T, r Replica) {
				if got, want := converse(t, r, string(script)), string(script); got != want {
					t.Error(firstDifference(want, got))
				}
			})
		})
	}
}

// firstDifference shows both texts up to the line where they part.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < min(len(w), len(g)) && w[i] == g[i] {
		i++
	}
	return fmt.Sprintf("behind\n%s\nwant %q\ngot  %q", strings.Join(w[:i], "\n"), slices.Concat(w[i:], []string{"the end"})[0], slices.Concat(g[i:], []string{"the end"})[0])
}

// converse plays a script with a hub of the replica and returns it with what came.
func converse(t *testing.T, replica Replica, script string) string {
	disk := &disk{Replica: replica}
	cfg := Config{Database: "db", Frame: wire.MinFrameBudget, MaxBatch: 20_000, Auth: func(_ context.Context, token string) (Grant, error) {
		switch token {
		case "bad":
			return Grant{}, errors.New("expected a token that is still valid")
		case "banned":
			return Grant{}, &core.Error{Code: core.Forbidden, Message: "not this database"}
		}
		return Grant{Subject: token}, nil
	}}
	v := &conversation{t: t, disk: disk, hub: NewHub(disk, cfg), now: 1_000_000, devices: map[string]*device{}}
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if err := v.do(words[0], words[1], words[2:]); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !slices.Contains(words, "unread") {
			v.listen(&out)
		}
	}
	return out.String()
}

// listen lets all devices, by name, take what came for them.
func (v *conversation) listen(out *strings.Builder) {
	names := make([]string, 0, len(v.devices))
	for name, d := range v.devices {
		if d.conn != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		lines, err := v.devices[name].drain(context.Background())
		if err != nil {
			v.t.Fatalf("behind\n%s%s: %v", out, name, err)
		}
		for _, line := range lines {
			fmt.Fprintf(out, "    %s ◀ %s\n", name, line)
		}
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// option returns the word behind a name, or otherwise.
func option(words []string, name, otherwise string) string {
	if i := slices.Index(words, name); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return otherwise
}

func (v *conversation) do(who, what string, words []string) error {
	if who == "hub" {
		return v.doHub(what, words)
	}
	d := v.devices[who]
	if d == nil {
		d = newDevice(who[0])
		v.devices[who] = d
	}
	ctx := context.Background()
	receive := func(m wire.Message) error { return overIsFine(d.conn.Receive(ctx, v.now, frame(m))) }
	switch what {
	case "connect":
		d.conn = v.hub.Connect(v.now, Peer{})
	case "hello":
		if d.conn == nil {
			d.join.Reset()
			d.conn = v.hub.Connect(v.now, Peer{})
		}
		return receive(v.helloOf(d, words))
	case "write":
		return d.writes(words)
	case "forget":
		d.forget(change.Generation(number(words[0])))
	case "push":
		from := change.Generation(number(words[0]))
		budget := wire.FrameBudget
		if slices.Contains(words, "parts") {
			budget = partBudget
		}
		d.alone = slices.Contains(words, "alone")
		return overIsFine(d.push(ctx, v.now, from, change.Generation(number(option(words, "to", words[0]))), budget))
	case "part":
		gen := change.Generation(number(words[0]))
		for p := range wire.SplitPush(gen, d.batches[gen-1:gen], partBudget) {
			if p.Part.Index == uint64(number(words[1])) {
				return receive(p)
			}
		}
	case "seen":
		m := &wire.Seen{Seq: d.seq, Hash: d.hash}
		if len(words) > 0 && words[0] == "wrongly" {
			m.Hash[0]++
		} else if len(words) > 0 {
			m = &wire.Seen{Seq: uint64(number(words[0]))}
		}
		return receive(m)
	case "ping":
		return receive(&wire.Ping{N: uint64(number(words[0]))})
	case "raw":
		b, err := hex.DecodeString(words[0])
		return errors.Join(err, overIsFine(d.conn.Receive(ctx, v.now, b)))
	case "close":
		d.conn.Close()
		d.conn = nil
	default:
		return fmt.Errorf("%s does not know how to %s", who, what)
	}
	return nil
}

func (v *conversation) doHub(what string, words []string) error {
	switch what {
	case "tick":
		d, err := time.ParseDuration(words[0])
		v.now += uint64(d.Milliseconds())
		v.hub.Tick(v.now)
		return err
	case "quota":
		v.disk.full = true
	case "room":
		v.disk.full = false
	case "close":
		v.hub.Close()
	default:
		return fmt.Errorf("a hub does not know how to %s", what)
	}
	return nil
}

func (v *conversation) helloOf(d *device, words []string) *wire.Hello {
	h := d.hello()
	h.Credit = uint64(number(option(words, "credit", fmt.Sprint(wire.DefaultCredit))))
	h.Database = option(words, "db", "db")
	h.Protocol = uint64(number(option(words, "p", "1")))
	h.Token = option(words, "tok", "")
	h.LowestHeld = change.Generation(number(option(words, "held", "1")))
	switch option(words, "lin", "") {
	case "own":
		h.Lineage = v.hub.lineage
	case "other":
		h.Lineage = change.Lineage{1}
	}
	switch option(words, "mk", "") {
	case "none":
		h.Marker = change.Marker{}
		d.base, h.Gen, h.Hash, h.Own = 0, 0, change.Hash{}, d.hashes
	case "wrong":
		h.Marker = change.Marker{Epoch: 1, Seq: 1, Hash: change.Hash{9}}
	}
	return h
}

// writes makes own batches.
func (d *device) writes(words []string) error {
	var parents []change.Version
	if p := option(words, "parent", ""); p != "" {
		parents = []change.Version{{Device: newDevice(p[0]).id, Gen: change.Generation(number(p[2:]))}}
	}
	for range number(words[0]) {
		d.write(number(option(words, "size", "10")), parents...)
	}
	if slices.Contains(words, "spoiled") {
		d.spoil()
	}
	return nil
}

func overIsFine(err error) error {
	var over *End
	if errors.As(err, &over) {
		return nil
	}
	return err
}

func TestFirstDifference(t *testing.T) {
	if got := firstDifference("a\nb", "a\nc"); !bytes.Contains([]byte(got), []byte(`want "b"`)) {
		t.Error(got)
	}
}
