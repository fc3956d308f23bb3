package main

// Goroutines that have nothing to do keep their stacks: growing one anew costs more than most frames do.
var parked []chan func()

// mostParked bounds them, at 16 to 64 KB each.
const mostParked = 8

// spawn has work done by a goroutine that has done some before, or by a new one. There is one thread here, so no lock.
func spawn(work func()) {
	if n := len(parked); n > 0 {
		next := parked[n-1]
		parked = parked[:n-1]
		next <- work
		return
	}
	next := make(chan func(), 1)
	next <- work
	go func() {
		for work := range next {
			work()
			if len(parked) >= mostParked {
				return
			}
			parked = append(parked, next)
		}
	}()
}
