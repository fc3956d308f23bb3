// Package order sorts. The sort of package slices is made anew for each type of element, with some 20 KB of code, and the engine has many
// types and short lists: here what depends on the type is short, and the rest is package sort, once.
package order

import (
	"cmp"
	"sort"
)

// short is how long a list is that is sorted by insertion, which needs no memory: an object's versions are seldom more.
const short = 8

// By sorts a list in place. What is equal may change places.
func By[T any](list []T, compare func(a, b T) int) {
	if len(list) > short {
		sort.Sort(&places{len(list), func(i, j int) bool { return compare(list[i], list[j]) < 0 }, swapper(list)})
		return
	}
	for i := range list {
		for j := i; j > 0 && compare(list[j], list[j-1]) < 0; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

// ByPointer sorts a list of large elements in place.
func ByPointer[T any](list []T, compare func(a, b *T) int) {
	sort.Sort(&places{len(list), func(i, j int) bool { return compare(&list[i], &list[j]) < 0 }, swapper(list)})
}

// StableByPointer leaves what is equal in its order.
func StableByPointer[T any](list []T, compare func(a, b *T) int) {
	sort.Stable(&places{len(list), func(i, j int) bool { return compare(&list[i], &list[j]) < 0 }, swapper(list)})
}

func swapper[T any](list []T) func(i, j int) {
	return func(i, j int) { list[i], list[j] = list[j], list[i] }
}

// Insert puts an element into a list.
func Insert[T any](list []T, at int, element T) []T {
	list = append(list, element)
	copy(list[at+1:], list[at:])
	list[at] = element
	return list
}

// Keys returns the keys of a map in their order.
func Keys[K cmp.Ordered, V any](m map[K]V) []K { return KeysBy(m, cmp.Compare[K]) }

// KeysBy returns the keys of a map in an order.
func KeysBy[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	By(keys, compare)
	return keys
}

// places is a list to package sort, by its places.
type places struct {
	n    int
	less func(i, j int) bool
	swap func(i, j int)
}

func (p *places) Len() int           { return p.n }
func (p *places) Less(i, j int) bool { return p.less(i, j) }
func (p *places) Swap(i, j int)      { p.swap(i, j) }
