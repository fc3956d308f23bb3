package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/edge/e2e/ledger"
	"vsync/edge/e2e/program"
	"vsync/edge/e2e/proxy"
)

// longLife is how long a process or a device lives at most: in the time of a test there have to be some lives.
const longLife = 3 * time.Second

// A world is one hub, three devices that write, a spoiled network between them, and what is known of it all.
type world struct {
	t       *testing.T
	seed    uint64
	hub     *program.Hub
	ledger  *ledger.Ledger
	members []*member
}

// A member is a device of the world: a directory, and life after life in it.
type member struct {
	name  string
	dir   string
	seed  uint64
	proxy *proxy.Proxy
	seen  *mirror
	lives int
	r     *rand.Rand

	waiting chan written // that it has not seen synced
}

// TestThroughCuts: three devices write at random through a network that cuts, delays and stalls, while the hub is
// killed again and again, one device too, another loses its disk or gets back an old copy of it. When all is well
// again, every write that was confirmed is there exactly once, no batch was ever seen in part, and all hold the same.
func TestThroughCuts(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-args -seed %d -for %v", seed, *timeFlag)
	w := newWorld(t, seed)
	w.spoil()
	if !t.Failed() {
		w.judge()
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, hub: program.Serve(t, t.TempDir()), ledger: ledger.New()}
	for i, name := range []string{"anna", "bert", "cleo"} {
		plan := proxy.Plan{
			Seed: seed + uint64(i), Gap: 250_000, Delays: 5, Stalls: 1, Cuts: 4,
			MaxDelay: 20 * time.Millisecond, MaxStall: 500 * time.Millisecond,
		}
		p, err := proxy.Listen(w.hub.Addr(), plan.Script())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		w.members = append(w.members, &member{
			name: name, dir: filepath.Join(t.TempDir(), name), seed: seed ^ uint64(i+1)<<32, proxy: p,
			seen: newMirror(name), waiting: make(chan written, unsynced), r: rand.New(rand.NewPCG(seed, uint64(100+i))),
		})
	}
	return w
}

// spoil lets everybody live, for a time, and kills the hub meanwhile.
func (w *world) spoil() {
	ctx, cancel := context.WithTimeout(context.Background(), *timeFlag+4*time.Minute)
	defer cancel()
	go func() { // on a machine with much else to do it takes longer until something has happened
		<-time.After(*timeFlag)
		w.ledger.Until(ctx, w.proves)
		cancel()
	}()
	var group sync.WaitGroup
	for i, lives := range []func(context.Context, *member){w.reopened, w.restored, w.killed} {
		group.Go(func() { lives(ctx, w.members[i]) })
	}
	r, kills := rand.New(rand.NewPCG(w.seed, 0)), 0
	for w.going(ctx) {
		w.ledger.More(ctx, 20+r.IntN(200), longLife)
		w.hub.Restart()
		kills++
	}
	group.Wait()
	w.t.Logf("the hub was killed %d times; writes: %v", kills, w.ledger.Sum())
	for _, m := range w.members {
		w.t.Logf("%s lived %d times: %+v, %d resets", m.name, m.lives, m.proxy.Stats(), m.seen.resets)
	}
	for _, text := range w.ledger.Wrong() {
		w.t.Error(text)
	}
	if !w.proves() {
		w.t.Error("there were hardly any cuts, or writes that were synced: this proves nothing")
	}
}

// proves is whether so much has happened that what is found afterwards says something.
func (w *world) proves() bool {
	cuts := 0
	for _, m := range w.members {
		cuts += m.proxy.Stats().Cuts()
	}
	return cuts > 1 && w.ledger.Sum()[ledger.Synced] >= 100
}

// going reports whether the world goes on being spoiled.
func (w *world) going(ctx context.Context) bool {
	return ctx.Err() == nil && len(w.ledger.Wrong()) == 0
}

func (m *member) nextLife() life {
	m.lives++
	return life{Name: m.name, Number: m.lives, Dir: m.dir, URL: program.DatabaseURL(m.proxy.Addr(), database), Seed: m.seed + uint64(m.lives)}
}

// live lets a member live until n more reports came, in this process, and ends it one way or the other.
func (w *world) live(ctx context.Context, m *member, n int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		w.ledger.More(ctx, n, longLife)
		cancel()
	}()
	end := (*device).close
	if m.r.IntN(2) == 0 {
		end = (*device).abandon
	}
	l := m.nextLife()
	if err := l.live(ctx, m.seen, m.waiting, w.ledger.Tell, end); err != nil {
		w.ledger.Tell(ledger.Wrong, fmt.Sprintf("%s, life %d: %v", l.Name, l.Number, err))
	}
}

// reopened is closed and opened again and again.
func (w *world) reopened(ctx context.Context, m *member) {
	for w.going(ctx) {
		w.live(ctx, m, 50+m.r.IntN(600))
	}
}

// restored is closed and opened again too, and after every fourth life it gets back what its disk held two lives ago.
func (w *world) restored(ctx context.Context, m *member) {
	backup := m.dir + ".backup"
	for w.going(ctx) {
		w.live(ctx, m, 50+m.r.IntN(400))
		var err error
		switch {
		case ctx.Err() != nil:
		case m.lives%4 == 1:
			os.RemoveAll(backup)
			err = os.CopyFS(backup, os.DirFS(m.dir))
		case m.lives%4 == 3:
			w.ledger.Lose(m.name)
			m.waiting = make(chan written, unsynced)
			os.RemoveAll(m.dir)
			err = os.CopyFS(m.dir, os.DirFS(backup))
		}
		if err != nil {
			w.ledger.Tell(ledger.Wrong, err.Error())
		}
	}
}

// killed lives in a process of its own, which is killed again and again; every fourth time its disk is gone too.
// Only at the end it is watched from here.
func (w *world) killed(ctx context.Context, m *member) {
	for w.going(ctx) {
		p, err := startChild(m.nextLife())
		if err != nil {
			w.ledger.Tell(ledger.Wrong, err.Error())
			return
		}
		life, cancel := context.WithCancel(ctx)
		reports := 50 + m.r.IntN(400)
		go func() {
			w.ledger.More(life, reports, longLife)
			cancel()
			p.Cmd.Process.Kill()
		}()
		for line := range p.Lines {
			what, text, _ := strings.Cut(line, " ")
			w.ledger.Tell(what, text)
		}
		if early := life.Err() == nil; early {
			w.ledger.Tell(ledger.Wrong, fmt.Sprintf("%s, life %d, ended by itself: %s", m.name, m.lives, p.Complaints()))
		}
		cancel()
		<-p.Ended
		if m.lives%4 == 2 && ctx.Err() == nil {
			w.ledger.Lose(m.name)
			os.RemoveAll(m.dir)
		}
	}
}

// startChild starts this test binary as a device.
func startChild(l life) (*program.Process, error) {
	config, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(config), "GORACE=halt_on_error=1")
	return program.Launch(cmd)
}

// beChild lives as the device that the config says, reports on standard output, and waits to be killed. It ends by
// itself when whoever started it is gone, and so its standard input.
func beChild(config string) int {
	var l life
	if err := json.Unmarshal([]byte(config), &l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	var mu sync.Mutex
	tell := func(what, text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, strings.ReplaceAll(text, "\n", " "))
	}
	if err := l.live(ctx, newMirror(l.Name), make(chan written, unsynced), tell, (*device).close); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
