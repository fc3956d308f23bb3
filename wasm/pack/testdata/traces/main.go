// Command traces does what Go's runtime needs its tables for: it grows stacks, collects garbage while they are deep, recovers from
// panics in functions that were inlined, and names the functions of a trace.
package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

type node struct {
	next *node
	pad  [40]byte
}

//go:noinline
func deep(n int, to *node) (length int) {
	here := &node{next: to}
	if n == 0 {
		runtime.GC()
		for at := here; at != nil; at = at.next {
			length++
		}
		return length
	}
	defer func() { here.pad[0] = byte(n) }()
	return deep(n-1, here)
}

func inlined(values []int, i int) int { return values[i] }

func recovered() (trace string) {
	defer func() {
		if recover() != nil {
			stack := make([]byte, 4096)
			trace = string(stack[:runtime.Stack(stack, false)])
		}
	}()
	inlined(nil, len(trace))
	return ""
}

func main() {
	done := make(chan int)
	for range 4 {
		go func() { done <- deep(20_000, nil) }()
	}
	for range 4 {
		fmt.Println("deep", <-done)
	}
	trace := recovered()
	fmt.Println("names", strings.Contains(trace, "main.recovered(") && strings.Contains(trace, "main.main("))
	_, file, line, _ := runtime.Caller(0)
	fmt.Println("place", file, line)
	rang := <-time.NewTimer(time.Millisecond).C
	fmt.Printf("time %v, a minute %v\n", time.Unix(5, 0), rang.Add(time.Minute).Sub(rang))
}
