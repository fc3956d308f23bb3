package program

import (
	"cmp"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	_ "modernc.org/sqlite" // reads the files of objects
)

// worker is the hub of edge/worker in workerd, the program in which Cloudflare runs it, with its storage on disk.
type worker struct {
	workerd string // the program
	built   string // directory of what ./build.sh builds for tests
}

const (
	workerdEnv = "VSYNC_WORKERD"
	workerEnv  = "VSYNC_WORKER"
)

// findWorker takes what ./build.sh has built.
func findWorker() (w worker, err error) {
	for env, path := range map[string]*string{workerdEnv: &w.workerd, workerEnv: &w.built} {
		if *path, err = filepath.Abs(os.Getenv(env)); os.Getenv(env) == "" || err != nil {
			return w, fmt.Errorf("%s has to name workerd, and %s the directory build/worker-tests: see test_worker in build.sh", workerdEnv, workerEnv)
		}
		if _, err := os.Stat(*path); err != nil {
			return w, fmt.Errorf("%s: %w", env, err)
		}
	}
	return w, nil
}

func (w worker) command(dir string, port int, o Options, flags []string) *exec.Cmd {
	key, err := makeKey(dir)
	if err != nil {
		panic(err) // the test's own directory
	}
	cmd := exec.Command(w.workerd, append([]string{"serve", "--experimental", filepath.Join(w.built, cmp.Or(o.Variant, "hub"), "hub.capnp"),
		"--socket-addr=http=127.0.0.1:" + strconv.Itoa(port), "--directory-path=disk=" + filepath.Join(dir, "objects"), "--control-fd=1"}, flags...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "HUB_KEY=" + key, "LOG=yes", "ORIGINS=" + strings.Join(o.Origins, " "), "OPEN_TO=" + o.OpenTo}
	if o.BodyTime > 0 {
		cmd.Env = append(cmd.Env, "BODY_TIME="+strconv.FormatInt(o.BodyTime.Milliseconds(), 10))
	}
	if o.Keys != nil {
		cmd.Env = append(cmd.Env, "TOKEN_KEYS="+string(o.Keys.Public().Line()))
	}
	return cmd
}

func (worker) listens(line, _ string) bool { return strings.Contains(line, `"event":"listen"`) }

// file looks for the object that has the database's name: what files are called is workerd's business.
func (worker) file(dir, database string) (found string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*.sqlite"))
	if err != nil {
		return "", err
	}
	for _, path := range files {
		if name, err := nameOf(path); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		} else if name == database {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: an object for %s among %d", fs.ErrNotExist, database, len(files))
}

func nameOf(path string) (name string, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRow(`SELECT name FROM object`).Scan(&name)
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return "", nil // workerd keeps alarms in a file of its own
	}
	return name, err
}

// makeKey is the hub's key as Cloudflare is told it: a secret, kept beside the data here, and gone with it.
func makeKey(dir string) (string, error) {
	if err := os.MkdirAll(filepath.Join(dir, "objects"), 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "hub.key")
	if key, err := os.ReadFile(path); err == nil {
		return string(key), nil
	}
	key := make([]byte, 32)
	rand.Read(key)
	text := hex.EncodeToString(key)
	return text, os.WriteFile(path, []byte(text), 0o600)
}

func (worker) key(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, "hub.key"))
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(string(text))
}
