//go:build js

package idb_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall/js"
	"testing"

	"vsync/core/store"
	"vsync/core/store/storetest"
	"vsync/wasm/idb"
)

var ctx = context.Background()

// place is one database. The browser's profile ends with the run, so none is deleted.
type place struct{ name string }

var places atomic.Int32

func newPlace(t testing.TB) place {
	return place{fmt.Sprintf("%s/%d", t.Name(), places.Add(1))}
}

func (p place) Open(ctx context.Context) (store.Store, error) {
	s, err := idb.Open(ctx, p.name, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (place) Exclusive() bool { return true }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener { return newPlace(t) })
}

// Browsers without getAllRecords read keys and values apart, and backwards in another way.
func TestStoreWithoutRecords(t *testing.T) {
	if eval("typeof IDBObjectStore.prototype.getAllRecords").String() == "undefined" {
		t.Fatal("this browser has no getAllRecords, so TestStore has tried the same")
	}
	eval("globalThis.records = IDBObjectStore.prototype.getAllRecords; delete IDBObjectStore.prototype.getAllRecords")
	defer eval("IDBObjectStore.prototype.getAllRecords = records")
	storetest.Run(t, func(t *testing.T) storetest.Opener { return newPlace(t) })
}

func eval(script string) js.Value { return js.Global().Call("eval", script) }
