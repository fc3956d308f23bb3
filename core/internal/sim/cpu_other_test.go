//go:build !unix

package sim

import "time"

var begun = time.Now()

// spent is how long this process runs.
func spent() time.Duration { return time.Since(begun) }
