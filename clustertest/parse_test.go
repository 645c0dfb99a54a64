package clustertest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scripts reads all scenarios of testdata.
func scripts(t *testing.T) []*script {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenario in testdata", err)
	}
	var all []*script
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parse(strings.TrimSuffix(filepath.Base(f), ".txt"), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestScenariosAreReadable(t *testing.T) {
	short, cable := 0, 0
	for _, s := range scripts(t) {
		if s.short {
			short++
		}
		if s.cable {
			cable++
		}
	}
	if short == 0 || cable == 0 {
		t.Errorf("%d scenarios are short and %d pull cables, want some of both", short, cable)
	}
}

func TestParse(t *testing.T) {
	s, err := parse("x", "# What is shown.\nshort\nnodes 3 # three\n\nusers 10\nkill n2 n3\nunlisted n2 n3 within 1500ms\ncut n1 from n2\ncorrect within 5s\n")
	if err != nil {
		t.Fatal(err)
	}
	if !s.short || !s.cable || s.title != "What is shown." || len(s.steps) != 6 {
		t.Errorf("%+v", s)
	}
	u := s.steps[3]
	if u.line != 7 || !slices.Equal(u.names, []string{"n2", "n3"}) || u.time != 1500*time.Millisecond {
		t.Errorf("%+v", u)
	}
	if c := s.steps[4]; !slices.Equal(c.names, []string{"n1", "n2"}) || c.String() != "cut n1 n2" {
		t.Errorf("%+v", c)
	}
}

func TestParseMayLeaveOut(t *testing.T) {
	s, err := parse("x", "# x\ndisk n2 900\nroles n1 gateway\nnodes 3\nusers 9\nkillall\nstart n3 n1\nstart n2 apart 2s\nbroken n1 within 3s\ncorrect within 5s")
	if err != nil {
		t.Fatal(err)
	}
	if !s.disk || !s.trace || s.cable {
		t.Errorf("%+v", s)
	}
	if a, b := s.steps[5], s.steps[6]; len(a.names) != 2 || a.time != 0 || len(b.names) != 1 || b.time != 2*time.Second {
		t.Errorf("%+v, %+v", a, b)
	}
}

func TestEveryStepIsPlayed(t *testing.T) {
	for verb := range verbs {
		played := before[verb] != nil || faultSteps[verb] != nil || diskSteps[verb] != nil || lookSteps[verb] != nil
		if !played && verb != "short" {
			t.Errorf("%s is parsed and never played", verb)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const head, tail = "# x\nnodes 3\nusers 9\n", "\ncorrect within 5s"
	for text, want := range map[string]string{
		"":                                "begin with a comment",
		"# x\nusers 3" + tail:             "the first step must be nodes",
		"# x\nnodes 3\nusers 3":           "nothing is checked",
		"# x\nnodes 3\ncorrect within 5s": "needs users before it",
		head + "nodes 3" + tail:           "x:4: nodes can be said once",
		head + "explode n1" + tail:        `x:4: "explode" is no step`,
		head + "kill" + tail:              "kill is followed by NODES",
		head + "kill m1" + tail:           `"m1" is no node`,
		head + "kill n0" + tail:           `"n0" is no node`,
		head + "kill n1 now" + tail:       `what does "now" mean`,
		head + "cut n1 n2" + tail:         `"n2" stands where "from" should`,
		head + "link n1 off" + tail:       `"off" is none of up|down`,
		head + "traffic 5" + tail:         `"5" is no time`,
		head + "traffic -5s" + tail:       `"-5s" is no time`,
		head + "traffic 2h" + tail:        `"2h" is no time`,
		head + "users many" + tail:        `"many" is no number`,
		head + "users 99999" + tail:       `"99999" is no number`,
		head + "unlisted n1 n2 5s" + tail: `"5s" stands where "within" should`,
		"# x\ndisk n1 9" + tail:           "the first step must be nodes",
		"# x\nnodes 3\nkillall" + tail:    "killall needs users before it",
		head + "disk n1 9" + tail:         "disk must be said before nodes",
		head + "roles n1 gateway" + tail:  "roles must be said before nodes",
		head + "start n1 n2 apart" + tail: "start is followed by NODES",
		head + "start n1 slowly" + tail:   `"slowly" stands where "apart" should`,
		head + "corrupt n1 all" + tail:    `"all" is none of bit|truncate|manifest`,
	} {
		if _, err := parse("x", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("# x\nnodes 3\nusers 9\nkill n1\ncorrect within 5s")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse("x", text)
		if err != nil {
			return
		}
		for _, st := range s.steps {
			if _, err := parseStep(strings.Fields(st.verb)); verbs[st.verb] != "" && err == nil {
				t.Errorf("%s was taken without what follows it", st.verb)
			}
		}
	})
}
