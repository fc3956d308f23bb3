package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// classes are all kinds of things that can happen in a history, by the words that count them. A test holds that each still
// happens: a simulation that does not reach something any more proves nothing about it.
var classes = []string{
	"put", "delete", "batch", "group commit", "update", "write with what was seen", "refused write",
	"scan", "history", "event", "watch resumed", "watch reset", "dismissed", "retried", "conflict ended", "asked again", "asked again without an answer", "forged",
	"frame up", "frame down", "connection", "second connection of a device", "stall", "cut", "cut inside a split batch", "half open",
	"slept through a part", "sent again", "garbage", "rogue",
	"store fail", "store full", "store crash before", "store crash after", "store tear", "store flip bit", "store cut",
	"late commit", "late commit of the log", "damage",
	"crash", "power cut", "uncommitted lost", "hub crash", "hub power cut",
	"checkpoint", "backup", "restore", "clone", "device joined", "reentry", "clock skew", "clock jump", "void",
	"damage P flipped", "damage P truncated", "damage P missing", "damage P swapped", "damage P older",
	"damage M flipped", "damage M truncated", "damage M missing", "damage M swapped", "damage M older",
	"damage O flipped", "damage O truncated", "damage O missing", "damage O swapped",
	"damage S flipped", "damage S truncated", "damage S missing", "damage S swapped", "damage S older",
	"damage Q flipped", "damage Q truncated", "damage Q missing", "damage Q swapped",
	"damage of a closed store", "damage of an open store", "repaired",
	"hub backup", "hub restored", "hub rolled back", "hub emptied", "unknown place", "handed back", "went back", "void handed back",
}

// seldom are those of the classes that come once in fifty histories or less.
var seldom = []string{"asked again without an answer", "damage P older", "damage M older", "damage Q swapped"}

// manyHistories is how many histories it takes for those to be expected.
const manyHistories = 1000

// unreached are the classes that did not happen, and should have in as many histories.
func (s Stats) unreached() (none []string) {
	for _, c := range classes {
		if s[c] == 0 && (s["histories"] >= manyHistories || !slices.Contains(seldom, c)) {
			none = append(none, c)
		}
	}
	return none
}

// did counts what an application, the network or a fault did: an operation. What is done to heal is none.
func (s *Sim) did(what string) {
	s.count(what)
	if !s.healing {
		s.stats[operations]++
	}
}

const operations = "operations"

// report is what a run of many histories says in the end: the classes in their order, then what else was counted.
func (s Stats) report() string {
	var b strings.Builder
	for i, c := range classes {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", c, s[c])
	}
	rest := Stats{}
	for what, n := range s {
		if !slices.Contains(classes, what) {
			rest[what] = n
		}
	}
	return b.String() + "; " + rest.String()
}

func (s Stats) String() string {
	text := ""
	for _, k := range slices.Sorted(maps.Keys(s)) {
		text += fmt.Sprintf("%s %d, ", k, s[k])
	}
	return text
}
