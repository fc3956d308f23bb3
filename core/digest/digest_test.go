package digest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"testing"
)

// What is written piece by piece and read in between comes out as Go's does.
func TestAsGo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(most int) []byte {
		b := make([]byte, random.IntN(most))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for range 300 {
		key := some(150)
		for _, pair := range [][2]hash.Hash{{newSHA(), sha256.New()}, {newPlainMAC(key), hmac.New(sha256.New, key)}} {
			ours, theirs := pair[0], pair[1]
			if ours.Size() != theirs.Size() || ours.BlockSize() != theirs.BlockSize() {
				t.Fatalf("sizes %d, %d, expected %d, %d", ours.Size(), ours.BlockSize(), theirs.Size(), theirs.BlockSize())
			}
			for i := range 8 {
				if i == 5 {
					ours.Reset()
					theirs.Reset()
				}
				piece := some(200)
				ours.Write(piece)
				theirs.Write(piece)
				if got, want := ours.Sum([]byte("x")), theirs.Sum([]byte("x")); !bytes.Equal(got, want) {
					t.Fatalf("after %d pieces %x, expected %x", i+1, got, want)
				}
			}
		}
	}
	for n := range 300 {
		b := bytes.Repeat([]byte{byte(n)}, n)
		if plainSum(b) != sha256.Sum256(b) || Sum(b) != sha256.Sum256(b) {
			t.Fatalf("the digest of %d bytes differs", n)
		}
	}
}

func TestEqual(t *testing.T) {
	a := []byte{1, 2, 3}
	if !Equal(a, bytes.Clone(a)) || Equal(a, []byte{1, 2, 4}) || Equal(a, []byte{0, 2, 3}) || Equal(a, a[:2]) || !Equal(nil, nil) {
		t.Error("wrong")
	}
}

func BenchmarkSum(b *testing.B) {
	data := make([]byte, 4096)
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			plainSum(data)
		}
	})
	b.Run("go", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			sha256.Sum256(data)
		}
	})
}
