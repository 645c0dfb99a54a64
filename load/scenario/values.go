package scenario

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

// sorted is by line, and by field where several are wrong in one.
func (p *parser) sorted() Errors {
	slices.SortStableFunc(p.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field))
	})
	return p.errs
}

// scalar is the text of a plain value; false was told as an error.
func (p *parser) scalar(path string, n *yaml.Node, want string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(n.Line, path, "%s, want %s", kind(n), want)
		return "", false
	}
	return n.Value, true
}

func (p *parser) integer(into *int, least, most int) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "a whole number")
		if !ok {
			return
		}
		v, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		switch {
		case err != nil:
			p.fail(n.Line, path, "%s is no whole number", strconv.Quote(cut(text)))
		case v < least || v > most:
			p.fail(n.Line, path, "%d, want %d to %d", v, least, most)
		default:
			*into = v
		}
	}
}

func (p *parser) seed(into *uint64) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "a whole number")
		if !ok {
			return
		}
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			p.fail(n.Line, path, "%s is no whole number from 0", strconv.Quote(cut(text)))
			return
		}
		*into = v
	}
}

func (p *parser) number(into *float64, least, most float64) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "a number")
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || math.IsNaN(v):
			p.fail(n.Line, path, "%s is no number", strconv.Quote(cut(text)))
		case v < least || v > most:
			p.fail(n.Line, path, "%g, want %g to %g", v, least, most)
		default:
			*into = v
		}
	}
}

func (p *parser) duration(into *time.Duration, least, most time.Duration) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "a time as 500ms, 10s or 2m")
		if !ok {
			return
		}
		v, err := time.ParseDuration(text)
		switch {
		case err != nil:
			p.fail(n.Line, path, "%s is no time as 500ms, 10s or 2m", strconv.Quote(cut(text)))
		case v < least || v > most:
			p.fail(n.Line, path, "%s, want %s to %s", v, least, most)
		default:
			*into = v
		}
	}
}

func (p *parser) boolean(into *bool) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		switch text, ok := p.scalar(path, n, "true or false"); {
		case !ok:
		case text == "true":
			*into = true
		case text == "false":
			*into = false
		default:
			p.fail(n.Line, path, "%s, want true or false", strconv.Quote(cut(text)))
		}
	}
}

func (p *parser) choice(into *string, words ...string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "one of "+strings.Join(words, ", "))
		if !ok {
			return
		}
		if !slices.Contains(words, text) {
			p.fail(n.Line, path, "%s, want one of %s", strconv.Quote(cut(text)), strings.Join(words, ", "))
			return
		}
		*into = text
	}
}

// text takes a line of it.
func (p *parser) text(into *string, most int) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "a line of text")
		text = strings.TrimSpace(text)
		switch {
		case !ok:
		case text == "" || len(text) > most:
			p.fail(n.Line, path, "%d bytes, want 1 to %d", len(text), most)
		case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }):
			p.fail(n.Line, path, "more than one line, or control characters")
		default:
			*into = text
		}
	}
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func (p *parser) name(into *string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, "a name")
		if !ok {
			return
		}
		if !nameForm.MatchString(text) {
			p.fail(n.Line, path, "%s, want a letter and up to 39 of a-z 0-9 -", strconv.Quote(cut(text)))
			return
		}
		*into = text
	}
}

// clock is a time of the day.
func (p *parser) clock(into *time.Duration) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := p.scalar(path, n, `a time of the day as "08:45"`)
		if !ok {
			return
		}
		t, err := time.Parse("15:04", text)
		if err != nil {
			p.fail(n.Line, path, `%s is no time of the day as "08:45"`, strconv.Quote(cut(text)))
			return
		}
		*into = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
}

// list reads each entry of a list.
func (p *parser) list(path string, n *yaml.Node, most int, each func(path string, n *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n.Line, path, "%s, want a list", kind(n))
		return
	}
	if len(n.Content) > most {
		p.fail(n.Line, path, "%d entries, at most %d", len(n.Content), most)
		return
	}
	for i, entry := range n.Content {
		if entry.Kind == yaml.AliasNode || entry.Anchor != "" {
			p.fail(entry.Line, path, "anchors and aliases are not used here: write the value out")
			continue
		}
		each(path+"["+strconv.Itoa(i)+"]", entry)
	}
}
