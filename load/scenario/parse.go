package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest file that is read, in bytes.
const MaxFile = 64 << 10

// Error is one thing that is wrong with a file.
type Error struct {
	File   string
	Line   int
	Field  string // empty: the file as a whole
	Reason string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Field, e.Reason)
}

// Errors are all that is wrong, in the order of lines.
type Errors []*Error

func (e Errors) Error() string {
	var b strings.Builder
	for i, x := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Error())
	}
	return b.String()
}

// mostErrors of one file are told.
const mostErrors = 20

// Parse reads a scenario; file is its name, for errors, which are of type Errors.
func Parse(file string, text []byte) (*Scenario, error) {
	p := &parser{file: file, lines: map[string]int{}}
	s := Default()
	s.Source = string(text)
	if root := p.document(text); root != nil {
		p.mapping("", root, p.scenario(&s))
		p.check(&s)
	}
	if len(p.errs) > 0 {
		return nil, p.sorted()
	}
	return &s, nil
}

type parser struct {
	file  string
	errs  Errors
	lines map[string]int // of the fields that are set, by path
}

func (p *parser) fail(line int, field, reason string, args ...any) {
	if len(p.errs) < mostErrors {
		p.errs = append(p.errs, &Error{p.file, max(line, 1), field, fmt.Sprintf(reason, args...)})
	}
}

// document is the root of the one document that a file must have.
func (p *parser) document(text []byte) *yaml.Node {
	if len(text) > MaxFile {
		p.fail(1, "", "%d bytes, at most %d", len(text), MaxFile)
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			p.fail(1, "", "the file is empty: a scenario needs a name")
			return nil
		}
		p.syntax(err)
		return nil
	}
	if err := d.Decode(&more); err == nil {
		p.fail(more.Line, "", "a second document: a file holds one scenario")
	} else if !errors.Is(err, io.EOF) {
		p.syntax(err)
	}
	return doc.Content[0]
}

var lineOf = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax tells an error of the YAML package, which names the line in its text.
func (p *parser) syntax(err error) {
	line, reason := 1, err.Error()
	if m := lineOf.FindStringSubmatch(reason); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		reason = m[2]
	}
	if strings.HasPrefix(reason, "did not find expected") {
		line++ // the package counts from 0 where its parser, not its scanner, stumbles
	}
	p.fail(line, "", "no YAML: %s", reason)
}

// fields says how each field of a mapping is read.
type fields map[string]func(path string, n *yaml.Node)

func (p *parser) mapping(path string, n *yaml.Node, known fields) {
	if n.Kind != yaml.MappingNode {
		p.fail(n.Line, path, "%s, want fields as `name: value`", kind(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		read, ok := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			p.fail(key.Line, path, "%s is no name of a field", kind(key))
		case !ok:
			p.fail(key.Line, at, "unknown field%s", suggest(key.Value, known))
		case seen[key.Value] > 0:
			p.fail(key.Line, at, "set twice, first in line %d", seen[key.Value])
		case value.Kind == yaml.AliasNode || value.Anchor != "":
			p.fail(value.Line, at, "anchors and aliases are not used here: write the value out")
		default:
			p.lines[at] = key.Line
			read(at, value)
		}
		seen[key.Value] = key.Line
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(cut(n.Value))
}

func cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// suggest names a known field that was perhaps meant, else all of them.
func suggest(name string, known fields) string {
	var all []string
	for k := range known {
		if near(name, k) {
			return fmt.Sprintf(", did you mean %s?", k)
		}
		all = append(all, k)
	}
	return ", known here: " + strings.Join(sorted(all), ", ")
}

// near is true for names of which one begins as the other or that differ in one
// place.
func near(a, b string) bool {
	if len(a) >= 3 && strings.HasPrefix(b, a) || len(b) >= 3 && strings.HasPrefix(a, b) {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(b) < 3 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}
