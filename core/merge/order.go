package merge

import "sort"

// An order sorts a list by places. The generic sort is made anew for each type of element, 8 KB of code or so each; here there are
// many types and short lists.
type order struct {
	n    int
	less func(i, j int) bool
	swap func(i, j int)
}

func (o *order) Len() int           { return o.n }
func (o *order) Less(i, j int) bool { return o.less(i, j) }
func (o *order) Swap(i, j int)      { o.swap(i, j) }

// sortBy sorts a list in place; what is equal may change places.
func sortBy[T any](list []T, compare func(a, b *T) int) {
	if len(list) > 1 {
		sort.Sort(orderOf(list, compare))
	}
}

// stableBy leaves what is equal in its order.
func stableBy[T any](list []T, compare func(a, b *T) int) {
	if len(list) > 1 {
		sort.Stable(orderOf(list, compare))
	}
}

func orderOf[T any](list []T, compare func(a, b *T) int) *order {
	return &order{len(list), func(i, j int) bool { return compare(&list[i], &list[j]) < 0 }, func(i, j int) { list[i], list[j] = list[j], list[i] }}
}
