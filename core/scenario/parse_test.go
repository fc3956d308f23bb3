package scenario

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What cannot be read is named by its line, with what was expected there and what came.
func TestSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		"device a":                                     `s:1: expected a comment first, that says in a sentence what the script shows, got "device a"`,
		"# x\n\ndance":                                 `s:3: expected a step, or the name of a device, got "dance"`,
		"# x\ndevice":                                  "s:2: expected a new name, [a-z]+, got the end of the line",
		"# x\ndevice a a":                              `s:2: expected a new name, [a-z]+, got "a"`,
		"# x\ndevice A":                                `s:2: expected a new name, [a-z]+, got "A"`,
		"# x\ndevice sync":                             `s:2: expected a new name, [a-z]+, got "sync"`,
		"# x\ndevice hub":                              `s:2: expected a new name, [a-z]+, got "hub"`,
		"# x\nsync a":                                  `s:2: expected a device, got "a"`,
		"# x\ndevice a\na put notes 1":                 `s:3: expected collection/id, got "notes"`,
		"# x\ndevice a\na put n/x":                     "s:3: expected a value in JSON, got the end of the line",
		"# x\ndevice a\na put n/x nul":                 `s:3: expected a value in JSON, got "nul"`,
		"# x\ndevice a\na put n/x \"1":                 "s:3: expected words, and values in JSON, got unexpected EOF",
		"# x\ndevice a\na put n/x 1 2":                 `s:3: expected the end of the line, got "2"`,
		"# x\ndevice a\na put n/x \"v\"*99999999999":   `s:3: expected a text repeated to at most 8388608 bytes, got "\"v\"*99999999999"`,
		"# x\ndevice a\na put n/x 1 seeing":            "s:3: expected a version, device:generation, got the end of the line",
		"# x\ndevice a\na put n/x 1 if b:1":            `s:3: expected a version, device:generation, got "b:1"`,
		"# x\ndevice a\na pick n/x a:0":                `s:3: expected a version, device:generation, got "a:0"`,
		"# x\ndevice a\na fill n 0 1":                  `s:3: expected as many objects as a batch may have, got 0`,
		"# x\ndevice a\na batch put n/x 1 ; dance n/x": `s:3: expected put or del, got "dance"`,
		"# x\ndevice a\na watch w from v":              `s:3: expected start, now, a watch, or a marker, got "v"`,
		"# x\ndevice a\na rules n 0 \"keep\"":          `s:3: expected a version, got 0`,
		"# x\ndevice a\nrefused INVALID sync a":        `s:3: expected a device, got "sync"`,
		"# x\ndevice a\nexpect n/x 1":                  `s:3: expected devices, hub, or a watch, got "n/x"`,
		"# x\nexpect hub pending 0":                    "s:2: expected an expectation of the hub, got one that is of devices alone",
		"# x\ndevice a\nexpect a vector a:1":           `s:3: expected device=generation, got "a:1"`,
		"# x\ndevice a\na strict dance":                `s:3: expected put or del, got "dance"`,
		"# x\ndevice a\nempty a":                       `s:3: expected hub, got "a"`,
		"# x\ndevice a\nrestore":                       "s:3: expected a device, got the end of the line",
		"# x\nonly mars":                               `s:2: expected a world, got "mars"`,
		"# x\ndevice a\nbreak a after 2 sideways":      `s:3: expected down or up, got "sideways"`,
		"# x\ndevice a\nbreak a after two down":        `s:3: expected a number of frames, got "two"`,
	} {
		_, err := Parse("s", text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// A script that expects what is not so fails at its line, says what is, and where all stand.
func TestFailures(t *testing.T) {
	const begin = "# x\ndevice a b\na put n/x 1\nsync a b\n"
	for step, want := range map[string]string{
		"expect a n/x 2":                             "expected: a: 2\n  got:      1",
		"expect a b n/x 1 conflict":                  "expected: a: 1 conflict\n  got:      1",
		"expect b n/x 1 leaves b:1":                  "expected: b: 1 leaves b:1\n  got:      1 leaves a:1",
		"expect hub n/y 1":                           "expected: hub: 1\n  got:      none",
		"expect b count n 2":                         "expected: b: 2 objects\n  got:      1 objects",
		"expect b history n/x a:2":                   "expected: b: a:2\n  got:      a:1",
		"expect b history n/x -a:1":                  "expected: b: -a:1\n  got:      a:1",
		"expect b base n/x none":                     "expected: b: none\n  got:      a:1",
		"expect hub vector a=2":                      "expected: hub: a=2\n  got:      a=1",
		"expect hub marker 2":                        "expected: hub: marker 2\n  got:      marker 1",
		"expect a pending 1":                         "expected: a: pending 1\n  got:      pending 0",
		"expect a at a:2":                            "expected: a: a:2\n  got:      a:1",
		"expect a problem a:1 INVALID":               "expected: a: INVALID\n  got:      none",
		"refused INVALID a put n/x 2":                "expected: INVALID\n  got:      it could be done",
		"refused QUOTA a retry a:1":                  "expected: QUOTA\n  got:      INVALID",
		"a retry a:1":                                "failed:   INVALID: ",
		"a put n/x 2 if a':1":                        "failed:   nobody had the id that a':1 names so far",
		"expect a phase live":                        "failed:   a is offline",
		"a watch w from start\nexpect w initial n/y": "expected: initial n/y\n  got:      initial n/x",
		"b put n/x 2\nexpect a b same":               "\n  got:      n/\"x\" 02 ",
		"restore hub":                                "failed:   scenario: there is no copy of the hub's disk",
		"close a\na put n/x 3":                       "failed:   a is closed",
		"close a\nclose a":                           "failed:   a is closed",
		"open a":                                     "failed:   a is open already",
	} {
		s, err := Parse("s", begin+step)
		if err != nil {
			t.Fatal(err)
		}
		town, err := NewTown(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = Run(t.Context(), s, town)
		var failure *Failure
		line := 4 + strings.Count(step, "\n") + 1
		if !errors.As(err, &failure) || failure.Line != line || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "\nwhere all stand:\n  a: ") {
			t.Errorf("%q: got %v\nwant line %d, %s", step, err, line, want)
		}
		if err := town.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What does not come in time fails too.
func TestWaitingEnds(t *testing.T) {
	for _, step := range []string{"connect a\nexpect a phase refused", "expect a broken", "expect a synced a:1", "break a after 0 up\nsync a"} {
		s, err := Parse("s", "# x\ndevice a\na put n/x 1\n"+step)
		if err != nil {
			t.Fatal(err)
		}
		town, err := NewTown(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience/100)
		var failure *Failure
		if err := Run(ctx, s, town); !errors.As(err, &failure) {
			t.Errorf("%q: %v", step, err)
		}
		cancel()
		if err := town.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	list, err := scripts.ReadDir("scripts")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range list {
		text, err := scripts.ReadFile("scripts/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("# x\ndevice a\na put n/x \"\\\"*3 {\"*\"3")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("s", text)
		var syntax *SyntaxError
		switch {
		case err == nil && len(s.steps) > 0 && s.About == "":
			t.Error("a script that says nothing of itself")
		case err != nil && (!errors.As(err, &syntax) || syntax.Line < 1 || syntax.Expected == "" || syntax.Got == ""):
			t.Errorf("%v", err)
		}
	})
}
