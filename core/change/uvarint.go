package change

import (
	"encoding/binary"
	"math/bits"
)

// AppendUvarint is binary.AppendUvarint, once: the compiler puts that one's loop into each of the hundred places that write a number.
//
//go:noinline
func AppendUvarint(to []byte, n uint64) []byte { return binary.AppendUvarint(to, n) }

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
