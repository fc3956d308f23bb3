//go:build js

package rows

import (
	"context"
	"testing"

	"vsync/core/store"
	"vsync/core/store/storetest"
)

// storage is that of the object that this program runs in. There is one, so it is emptied for each test.
type storage struct{}

func (storage) Open(ctx context.Context) (store.Store, error) { return Open(ctx) }

func (storage) Exclusive() bool { return false }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		s, err := Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		tx := &store.Tx{}
		tx.DeleteRange(nil, nil)
		if err := s.Commit(context.Background(), tx); err != nil {
			t.Fatal(err)
		}
		return storage{}
	})
}

// A statement that SQLite refuses in the middle of a transaction leaves nothing of it.
func TestAFailureLeavesNothing(t *testing.T) {
	s, err := storage{}.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good, bad := &store.Tx{}, &store.Tx{}
	good.Put([]byte("before"), []byte("x"))
	if err := s.Commit(context.Background(), good); err != nil {
		t.Fatal(err)
	}
	bad.Put([]byte("of the failure"), []byte("x"))
	packed := packOps(nil, bad)
	packed = append(packed, place0, 1) // a put that lacks its value
	packed = appendPlace(packed, []byte("k"))
	if _, err := result(jsCommit(pointer(packed), int32(len(packed)))); err == nil {
		t.Fatal("a put without a value was stored")
	} else {
		t.Log(err)
	}
	if _, found, err := s.Get(context.Background(), []byte("of the failure")); err != nil || found {
		t.Errorf("of the failed transaction something is there: %v, %v", found, err)
	}
	if _, found, err := s.Get(context.Background(), []byte("before")); err != nil || !found {
		t.Errorf("what was there before is %v, %v", found, err)
	}
}

// place0 is the place of Put.
const place0 = 0
