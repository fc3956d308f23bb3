package wire_test

import (
	"context"
	"testing"
	"time"

	"vsync/core/wire"
	"vsync/core/wire/conntest"
)

func TestPipeIsAConn(t *testing.T) {
	const limit = 1 << 20
	conntest.Run(t, conntest.Harness{
		Pair:        func(*testing.T) (a, b wire.Conn) { return wire.Pipe(limit) },
		MaxBuffered: limit,
		After:       time.After,
	})
}

func TestPipeTakesOneMessageOfAnySize(t *testing.T) {
	a, b := wire.Pipe(10)
	for _, n := range []int{0, 10, 11, 5000} {
		if err := a.Write(context.Background(), make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Read(context.Background()); len(got) != n || err != nil {
			t.Errorf("expected %d bytes, got %d, %v", n, len(got), err)
		}
	}
}
