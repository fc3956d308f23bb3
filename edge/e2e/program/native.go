package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// native is the hub's own program: `vsync serve`.
type native struct{}

func (native) command(dir string, port int, o Options, flags []string) *exec.Cmd {
	args := []string{"serve", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--data", dir}
	for _, origin := range o.Origins {
		args = append(args, "--origin", origin)
	}
	cmd := Command(append(args, flags...)...)
	cmd.Env = append(cmd.Env, o.Env...)
	if o.Keys != nil {
		cmd.Env = append(cmd.Env, "VSYNC_KEYS="+string(o.Keys.Line()))
	}
	return cmd
}

func (native) listens(line, addr string) bool { return strings.Contains(line, "ws://"+addr) }

func (native) file(dir, database string) (string, error) {
	path := filepath.Join(dir, "databases", database+".db")
	_, err := os.Stat(path)
	return path, err
}

func (native) key(dir string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, "hub.key")) }
