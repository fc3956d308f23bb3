//go:build unix

package sim

import (
	"syscall"
	"time"
)

// spent is how long this process has run on processors: it says the same on a machine that is busy with something else.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
