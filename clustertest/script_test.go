package clustertest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// script is a scenario: what its file says, parsed and checked.
type script struct {
	name  string
	title string // its first comment
	short bool   // also part of the short form
	cable bool   // it needs namespaces
	disk  bool   // it needs disks of its own
	trace bool   // it needs system calls that fail
	steps []step
}

// step is one line.
type step struct {
	line  int
	verb  string
	names []string // nodes
	count int
	time  time.Duration
	word  string
}

func (s step) String() string {
	words := append([]string{s.verb}, s.names...)
	if s.count > 0 {
		words = append(words, strconv.Itoa(s.count))
	}
	if s.word != "" {
		words = append(words, s.word)
	}
	if s.time > 0 {
		words = append(words, s.time.String())
	}
	return strings.Join(words, " ")
}

// verbs are all steps that there are, with what follows them: N a number, D a
// time, NODE one node's name, NODES one or more, a|b a choice, else the word
// itself; from a [ on it may be left out.
var verbs = map[string]string{
	"short":       "",                           // the scenario is part of the short form
	"disk":        "NODE N",                     // before it is there: its data is on a disk of its own, of N MiB
	"roles":       "NODE gateway|presence",      // before it is there: it has this role only
	"nodes":       "N",                          // start n1 .. nN and wait until they are one cluster
	"users":       "N",                          // that many simulated users come on line, and publish from now on; keepers write, a reader follows the feed
	"outside":     "N",                          // so many of another tenant watch some of them
	"traffic":     "D",                          // let it go on for so long
	"hush":        "",                           // the keepers write nothing until the next correct or kept
	"kill":        "NODES",                      // SIGKILL, to all at once
	"killall":     "",                           // the same to every node
	"vanish":      "NODES",                      // SIGKILL, and the devices of those connected to it are gone too
	"pause":       "NODE",                       // SIGSTOP
	"resume":      "NODE",                       // SIGCONT
	"stop":        "NODE",                       // SIGTERM: it must hand over and end by itself, with exit code 0
	"drain":       "NODE",                       // POST /admin/v1/drain: the same
	"start":       "NODES [ apart D",            // start nodes that have ended, or new ones, in this order, and wait until all agree
	"wipe":        "NODE",                       // delete its data; it must have ended
	"corrupt":     "NODE bit|truncate|manifest", // damage its data; it must have ended
	"refuses":     "NODE",                       // it does not start, and says that --reset-data helps
	"reset":       "NODE",                       // start it with --reset-data
	"fill":        "NODE N",                     // leave N MiB free on its disk, and wait until it has noticed
	"free":        "NODE",                       // give the room back, and wait until it has noticed
	"broken":      "NODE within D",              // its disk fails: it must end, and say why
	"link":        "NODE up|down",               // pull or plug its cable
	"cut":         "NODE from NODE",             // the first loses what the second sends
	"loss":        "NODE N",                     // it loses N of a hundred packets that come to it
	"mend":        "NODE",                       // undo its cuts
	"part":        "NODE",                       // it and the others lose what they send each other; clients reach all
	"heal":        "",                           // mend all nodes
	"policy":      "NODE open|closed|testament", // shut those outside out, or let them in; testament: closed, and it is killed as soon as it has acknowledged
	"obeyed":      "within D",                   // since then every node has the policy and those outside see what they may
	"unlisted":    "NODES within D",             // nobody lists them any more
	"listed":      "within D",                   // every node lists all that live
	"ghosts":      "gone within D",              // no vanished device is shown any more
	"correct":     "within D",                   // stop publishing; everybody must see the truth, nothing may be lost
	"kept":        "within D",                   // nothing that keepers were told is written may be missing
	"settled":     "within D",                   // every node has all copies that it should have
	"durability":  "N within D",                 // answers and reports say that N nodes hold what is written
	"steady":      "",                           // since the start nobody who was there was shown as offline
	"serve":       "within D",                   // of publishes after the fault 99 % must have been answered in that time
	"others":      "within D",                   // the same for owners and gateways that were not touched
	"intruder":    "key|ca|name",                // start a process with a wrong gossip key, certificate or cluster name
	"garbage":     "NODE",                       // throw rubbish at its gossip and its data port
	"undisturbed": "within D",                   // all nodes still agree, and none has ended
}

var (
	nodeName = regexp.MustCompile(`^n[1-9][0-9]?$`)
	maxTime  = 5 * time.Minute
	maxCount = 2000
)

// parse reads a scenario. Errors name the line.
func parse(name, text string) (*script, error) {
	s := &script{name: name}
	for i, line := range strings.Split(text, "\n") {
		line, comment, _ := strings.Cut(line, "#")
		if s.title == "" {
			s.title = strings.TrimSpace(comment)
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		st, err := parseStep(words)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		st.line = i + 1
		switch st.verb {
		case "short":
			s.short = true
			continue
		case "link", "cut", "loss", "mend", "part", "heal":
			s.cable = true
		case "disk":
			s.disk = true
		case "broken":
			s.trace = true
		}
		s.steps = append(s.steps, st)
	}
	return s, s.check()
}

func parseStep(words []string) (step, error) {
	form, ok := verbs[words[0]]
	if !ok {
		return step{}, fmt.Errorf("%q is no step; there are %s", words[0], strings.Join(sorted(verbs), ", "))
	}
	st := step{verb: words[0]}
	rest := words[1:]
	for _, f := range strings.Fields(form) {
		if f == "[" {
			if len(rest) == 0 {
				break
			}
			continue
		}
		n := 1
		if f == "NODES" {
			n = max(1, slices.IndexFunc(append(rest, ""), func(w string) bool { return !nodeName.MatchString(w) }))
		}
		if len(rest) < n {
			return st, fmt.Errorf("%s is followed by %s", st.verb, form)
		}
		for _, w := range rest[:n] {
			if err := st.take(f, w); err != nil {
				return st, fmt.Errorf("%s is followed by %s: %w", st.verb, form, err)
			}
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return st, fmt.Errorf("%s is followed by %q: what does %q mean?", st.verb, form, strings.Join(rest, " "))
	}
	return st, nil
}

// take reads one word as its place in the form wants it.
func (s *step) take(form, word string) (err error) {
	switch {
	case form == "N":
		s.count, err = strconv.Atoi(word)
		if err != nil || s.count < 1 || s.count > maxCount {
			return fmt.Errorf("%q is no number from 1 to %d", word, maxCount)
		}
	case form == "D":
		s.time, err = time.ParseDuration(word)
		if err != nil || s.time <= 0 || s.time > maxTime {
			return fmt.Errorf("%q is no time up to %s, as 500ms or 20s", word, maxTime)
		}
	case strings.HasPrefix(form, "NODE"):
		if !nodeName.MatchString(word) {
			return fmt.Errorf("%q is no node, as n1", word)
		}
		s.names = append(s.names, word)
	case strings.Contains(form, "|"):
		if !slices.Contains(strings.Split(form, "|"), word) {
			return fmt.Errorf("%q is none of %s", word, form)
		}
		s.word = word
	case form != word:
		return fmt.Errorf("%q stands where %q should", word, form)
	}
	return nil
}

// early are the steps that may stand before the cluster is there, and late those
// that need users.
var (
	early = []string{"disk", "roles"}
	late  = []string{
		"correct", "kept", "hush", "serve", "others", "steady", "ghosts", "traffic", "durability", "outside", "policy", "obeyed",
		"killall", "part", "heal",
	}
)

// check refuses what cannot work: the cluster first, then its users, and an end
// that looks at what has become of it.
func (s *script) check() error {
	first := slices.IndexFunc(s.steps, func(st step) bool { return !slices.Contains(early, st.verb) })
	switch {
	case s.title == "":
		return fmt.Errorf("%s: begin with a comment that says what is shown", s.name)
	case first < 0 || s.steps[first].verb != "nodes":
		return fmt.Errorf("%s: the first step must be nodes", s.name)
	case !slices.ContainsFunc(s.steps, func(st step) bool { return st.verb == "correct" }):
		return fmt.Errorf("%s: nothing is checked: there is no step correct", s.name)
	}
	users := false
	for i, st := range s.steps {
		if st.verb == "users" {
			users = true
		}
		switch {
		case i > first && st.verb == "nodes":
			return fmt.Errorf("%s:%d: nodes can be said once", s.name, st.line)
		case i > first && slices.Contains(early, st.verb):
			return fmt.Errorf("%s:%d: %s must be said before nodes", s.name, st.line, st.verb)
		case !users && slices.Contains(late, st.verb):
			return fmt.Errorf("%s:%d: %s needs users before it", s.name, st.line, st.verb)
		}
	}
	return nil
}
