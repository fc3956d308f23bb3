// Package mutants holds defects that somebody could write into the engine, each as a patch of its source. The simulation has
// to find every one of them within seconds: that is what shows that its checks hold anything.
//
// A new one is a few lines in the list: the text that is to be replaced has to stand in its file exactly once, so that no
// mutant rots unseen, and what is put in its place has to compile. Run them all with
//
//	./build.sh sim --mutants
//
// or some, by a part of their names, with ./build.sh sim --mutants part.
package mutants

// A Mutant is a defect.
type Mutant struct {
	Name     string
	File     string // from the top of the tree
	Old, New string
	Breaks   string // what goes wrong with it
	Rare     string // it is too rare for seeds, which need so many histories; stored ones are lived first. "": it is not
	Ruled    bool   // it is looked for in histories with field rules
	Defect   int    // of the ancestor (README.md), which is this one or comes of the same; 0: none
	Rule     string // what it breaks: a promise of README.md, a section of PROTOCOL.md, or a rule of the engine
}

// All is every mutant, in the order of the data's way.
func All() []Mutant {
	var all []Mutant
	for _, part := range [][]Mutant{writing, asking, applying, hub, sockets, loss, stored, harm, watching, rules} {
		all = append(all, part...)
	}
	return all
}
