package merge

import (
	"fmt"
	"strings"
	"testing"
)

// An update of one who changed nothing beats a concurrent deletion, too.
func TestTheSameAgainBeatsADeletion(t *testing.T) {
	s := tell(t, `{"n":"counter"}`, 2, `{"n":5}`)
	s.devices[0].delete()
	s.put(1, `{"n":5}`)
	s.push(0)
	s.ends(`{"n":5}`, 2)
}

// What was assigned anew is not what an older edit named, though it reads the same.
func TestEditsOfWhatIsNotThereAnyMore(t *testing.T) {
	s := tell(t, `{"body":"text","tags":"set"}`, 2, `{"body":"1\n2\n3","tags":["x"]}`)
	s.put(1, `{"body":"1\n3","tags":[]}`)
	s.put(0, `{"body":5,"tags":5}`)
	s.put(0, `{"body":"1\n2\n3","tags":["x"]}`)
	s.push(0)
	s.push(0)
	s.ends(`{"body":"1\n2\n3","tags":["x"]}`, 2)
}

// Taking away from what is gone, or has become something else, does nothing; adding begins it anew.
func TestEditsOfWhatIsGone(t *testing.T) {
	for _, c := range []struct{ first, other, edit, want string }{
		{`{"body":"1\n2","tags":["x","y"]}`, `{}`, `{"body":"1","tags":["x"]}`, `{}`},
		{`{"body":"1\n2","tags":["x","y"]}`, `{}`, `{"body":"1\n2\n3","tags":["x","y","z"]}`, `{"body":"3","tags":["z"]}`},
		{`{"body":"1\n2","tags":["x","y"]}`, `{"body":7,"tags":7}`, `{"body":"1","tags":["x"]}`, `{"body":7,"tags":7}`},
		{`{"body":"1\n2","tags":["x","y"]}`, `{"body":7,"tags":7}`, `{"body":"1\n2\n3","tags":["x","y","z"]}`, `{"body":"3","tags":["z"]}`},
		{`{"body":"1\n2","tags":["x","y"]}`, `{"body":"1\n2\n3","tags":["x","y","z"]}`, `{}`, `{"body":"3","tags":["z"]}`},
		{`{"n":5}`, `{"n":6}`, `{}`, `{"n":6}`},
		{`{"n":5}`, `{}`, `{}`, `{}`},
		{`{"n":5}`, `{}`, `{"n":7}`, `{"n":2}`},
		{`{"n":5}`, `{"n":"five"}`, `{"n":7}`, `{"n":7}`},
		{`{"deep":{"a":1,"b":2}}`, `{"deep":{"a":1,"b":2,"c":3}}`, `{}`, `{"deep":{"c":3}}`},
		{`{"deep":{"a":1,"b":2}}`, `{"deep":{"a":1}}`, `{}`, `{}`},
		{`{"deep":{"a":1}}`, `{"deep":5}`, `{"deep":{"a":1,"b":2}}`, `{"deep":{"b":2}}`},
		{`{"deep":{"a":1}}`, `{"deep":5}`, `{"deep":{}}`, `{"deep":5}`},
		{`{"deep":5}`, `{"deep":{"a":1}}`, `{"deep":{"b":2}}`, `{"deep":{"a":1,"b":2}}`},
	} {
		s := tell(t, `{"body":"text","tags":"set","n":"counter"}`, 2, c.first)
		s.put(0, c.other)
		s.put(1, c.edit)
		t.Run(c.other+c.edit, func(t *testing.T) {
			s.t = t
			s.ends(c.want, 2)
		})
	}
}

// Marks go with what they are for.
func TestMarksGo(t *testing.T) {
	r := rulesOf(t, `{"a":"text","s":"set"}`)
	s := born(version('a', 1), val(t, `{"a":"1\n2","s":["x"]}`))
	edit := val(t, `{"a":"1\n2\n3","s":["x","y"]}`)
	s = r.Apply(s, Write{version('a', 2), r.Diff(s.Value, s, edit), edit})
	if len(decodeMarks(s.Marks).entries) != 2 {
		t.Fatalf("marks %x", s.Marks)
	}
	for _, changes := range []string{`[1,[[0,["a","b"],1],[0,["s","b"],1]]]`, `[1,[[2,["a"]],[2,["s"]]]]`, `[1,[[1,["a"]],[1,["s"]]]]`, `[1,[[0,[],1]]]`} {
		if got := r.Apply(s, Write{version('b', 1), val(t, changes), val(t, `7`)}); got.Marks != nil {
			t.Errorf("%s left marks %x with %s", changes, got.Marks, js(t, got.Value))
		}
	}
}

// Lines written at many places stay in their order where all around them was removed.
func TestManyLinesIntoNothing(t *testing.T) {
	var base, mine, want []string
	for i := range 40 {
		line, more := fmt.Sprint(i), fmt.Sprint("new ", i)
		base, mine, want = append(base, line), append(mine, line, more), append(want, more)
	}
	r := rulesOf(t, `{"*":"text"}`)
	old, value, nothing := encoded(t, strings.Join(base, "\n")), encoded(t, strings.Join(mine, "\n")), encoded(t, "")
	s := born(version('a', 1), old)
	a := Write{version('a', 2), r.Diff(old, s, value), value}
	b := Write{version('b', 1), r.Diff(old, s, nothing), nothing}
	for _, order := range [][2]Write{{a, b}, {b, a}} {
		if got := string(text(r.Apply(r.Apply(s, order[0]), order[1]).Value)); got != strings.Join(want, "\n") {
			t.Errorf("%q came", got)
		}
	}
}

// Where characters of a line are changed while it gives way to others, no line runs into the next.
func TestLinesStayApart(t *testing.T) {
	r := rulesOf(t, `{"*":"text"}`)
	old := encoded(t, "abc")
	s := born(version('a', 1), old)
	write := func(device byte, value string) Write {
		b := encoded(t, value)
		return Write{version(device, 2), r.Diff(old, s, b), b}
	}
	lines, before, within, after := write('b', "d\ne"), write('c', "xabc"), write('d', "abxc"), write('e', "abcx")
	above, clear := write('f', "top\nabc"), write('g', "")
	cleared := r.Apply(s, clear)
	again := Write{version('g', 3), r.Diff(cleared.Value, cleared, encoded(t, "new")), encoded(t, "new")}
	for _, c := range []struct {
		order []Write
		want  string
	}{
		{[]Write{before, lines}, "x\nd\ne"}, {[]Write{within, lines}, "x\nd\ne"}, {[]Write{after, lines}, "x\nd\ne"},
		{[]Write{lines, before}, "d\ne\nx"}, {[]Write{lines, within}, "d\ne\nx"},
		{[]Write{clear, again, after}, "newx"}, {[]Write{clear, again, lines}, "new\nd\ne"},
		{[]Write{before, above}, "top\nxabc"}, {[]Write{above, before}, "top\nxabc"}, {[]Write{before, within, after, above, lines}, "top\nxxx\nd\ne"},
	} {
		now := s
		for _, w := range c.order {
			now = r.Apply(now, w)
		}
		if got := string(text(now.Value)); got != c.want {
			t.Errorf("%q came, not %q", got, c.want)
		}
	}
}

// Changes that no Diff would make: places inside of lines, at the end and at the beginning, in any order. Lines stay whole, and
// what stands at one place is in the order of the changes.
func TestInsertionsAsTheyAreWritten(t *testing.T) {
	r := rulesOf(t, `{"*":"text"}`)
	s := born(version('a', 1), encoded(t, "first\nlast"))
	device := `{"$bytes":"YWFhYWFhYWFhYWFhYWFhYQ=="}`
	var inserts, begin, end []string
	for i := range 40 {
		if i%2 == 0 {
			inserts, begin = append(inserts, fmt.Sprintf(`["b%d\n",%d,0,3]`, i, 9*i)), append(begin, fmt.Sprint("b", i))
		} else {
			inserts, end = append(inserts, fmt.Sprintf(`["e%d\n",%d,null]`, i, 9*i)), append(end, fmt.Sprint("e", i))
		}
	}
	want := strings.Join(begin, "\n") + "\nfirst\nlast\n" + strings.Join(end, "\n")
	changes := `[1,[[8,[],[],[` + strings.Join(inserts, ",") + `]]],` + device + `,[0,1]]`
	if got := string(text(r.Apply(s, Write{version('b', 1), val(t, changes), encoded(t, "")}).Value)); got != want {
		t.Errorf("%q came, not %q", got, want)
	}
	for _, c := range []struct{ insert, want string }{
		{`["x\n",5,null,0,2]`, "first\nx\nlast"}, {`["x\n",5,null,0,7]`, "first\nlast\nx"}, {`["x\n",5,0,99,0,2]`, "first\nx\nlast"},
		{`["x",5,null,0,2]`, "firxst\nlast"}, {`["x",5,null]`, "first\nlast\nx"}, {`["x",5,0,99]`, "first\nlast\nx"},
	} {
		versions := device + `,[0,1]`
		if !strings.Contains(c.insert, ",0,") {
			versions = ""
		} else {
			versions = "," + versions
		}
		w := Write{version('b', 1), val(t, `[1,[[8,[],[],[`+c.insert+`]]]`+versions+`]`), encoded(t, "")}
		if err := Check(w.Changes); err != nil {
			t.Fatal(err)
		}
		if got := string(text(r.Apply(s, w).Value)); got != c.want {
			t.Errorf("%s: %q came, not %q", c.insert, got, c.want)
		}
	}
}
