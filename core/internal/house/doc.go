// Package house holds the rules of this tree as tests: which package may import which, what the machine
// may not touch, and how a file has to look. It has no code of its own.
//
//	arrows_test.go   imports between packages go one way
//	pure_test.go     core does no IO, asks no clock and draws no random numbers
//	text_test.go     names at the top, package comments, length, format, nothing left open
//	tree_test.go     reads the tree once for all of them
//
// Each rule is a function from a parsed file to findings, tried on a bad example before it is trusted
// with the tree.
package house
