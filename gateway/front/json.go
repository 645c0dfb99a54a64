package front

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"rollcall/messages"
)

// Bounds of JSON input. A value is a scalar, an object or an array; names in
// objects are not counted, so that a calendar of 256 entries fits.
const (
	MaxDepth  = 16
	MaxValues = 2000
	MaxNumber = 32 // characters
)

// Decode reads one JSON value strictly: valid UTF-8, no name twice in an
// object, nothing after it, within the bounds above. Unknown names are ignored.
// Every failure is ErrBadJSON with the place; the text never repeats content.
func Decode(b []byte, into any) error {
	if err := check(b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return badForm(err)
	}
	return nil
}

// DecodeStrict is Decode that also refuses unknown names, for what an
// administrator writes.
func DecodeStrict(b []byte, into any) error {
	if err := check(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok { // it has no type
		return ErrBadJSON.With("unknown field " + name)
	}
	return badForm(err)
}

// badForm names the field that did not fit, not what was in it.
func badForm(err error) *messages.Error {
	if t, ok := err.(*json.UnmarshalTypeError); ok && t.Field != "" { //nolint:errorlint // Unmarshal returns it bare
		return ErrBadJSON.With(fmt.Sprintf("field %q must be of type %s", t.Field, t.Type))
	}
	if e, ok := err.(*messages.Error); ok { //nolint:errorlint // an UnmarshalJSON of ours returns it bare
		return e
	}
	return ErrBadJSON
}

// check walks the text once and allocates nothing for flat input.
func check(b []byte) error {
	if !utf8.Valid(b) {
		return ErrBadJSON.With("the text is not valid UTF-8")
	}
	s := scanner{b: b}
	s.space()
	if err := s.value(1); err != nil {
		return err
	}
	s.space()
	if s.at < len(b) {
		return s.bad("something follows the value")
	}
	return nil
}

type scanner struct {
	b      []byte
	at     int
	values int
}

func (s *scanner) bad(what string) error {
	return ErrBadJSON.With(fmt.Sprintf("%s, at byte %d", what, s.at))
}

func (s *scanner) space() {
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.at < len(s.b) {
		return s.b[s.at]
	}
	return 0
}

func (s *scanner) value(depth int) error {
	if s.values++; s.values > MaxValues {
		return s.bad(fmt.Sprintf("more than %d values", MaxValues))
	}
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth > MaxDepth {
			return s.bad(fmt.Sprintf("nested deeper than %d", MaxDepth))
		}
		if c == '{' {
			return s.object(depth)
		}
		return s.array(depth)
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.at:], []byte(word)) {
			s.at += len(word)
			return nil
		}
	}
	return s.bad("a value is missing")
}

func (s *scanner) array(depth int) error {
	s.at++
	if s.space(); s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.next(']'); !more {
			return err
		}
	}
}

// next takes the comma or the closing bracket behind an element.
func (s *scanner) next(closing byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.at++
		return true, nil
	case closing:
		s.at++
		return false, nil
	}
	return false, s.bad("a comma or a closing bracket is missing")
}

func (s *scanner) object(depth int) error {
	s.at++
	if s.space(); s.peek() == '}' {
		s.at++
		return nil
	}
	var seen names
	for {
		s.space()
		if s.peek() != '"' {
			return s.bad("a name is missing")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return s.bad("a name occurs twice in one object")
		}
		if s.space(); s.peek() != ':' {
			return s.bad("a colon is missing")
		}
		s.at++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.next('}'); !more {
			return err
		}
	}
}

// names are those of one object. The decoder matches fields without regard to
// case, so two that differ in case alone are the same.
type names struct {
	few  [16][]byte
	n    int
	many map[string]bool
}

func (n *names) add(name []byte) bool {
	if n.many == nil {
		for _, x := range n.few[:n.n] {
			if bytes.EqualFold(x, name) {
				return false
			}
		}
		if n.n < len(n.few) {
			n.few[n.n] = name
			n.n++
			return true
		}
		n.many = make(map[string]bool)
		for _, x := range n.few {
			n.many[fold(x)] = true
		}
	}
	f := fold(name)
	if n.many[f] {
		return false
	}
	n.many[f] = true
	return true
}

func fold(name []byte) string { return strings.ToLower(strings.ToUpper(string(name))) }

// text reads a string and gives what it says.
func (s *scanner) text() ([]byte, error) {
	s.at++
	start := s.at
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return s.b[start : s.at-1], nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.bad("a control character in a string")
		}
		s.at++
	}
	return nil, s.bad("a string does not end")
}

// escaped goes on in a string at its first escape.
func (s *scanner) escaped(start int) ([]byte, error) {
	out := append([]byte(nil), s.b[start:s.at]...)
	for s.at < len(s.b) {
		c := s.b[s.at]
		s.at++
		switch {
		case c == '"':
			return out, nil
		case c < ' ':
			return nil, s.bad("a control character in a string")
		case c != '\\':
			out = append(out, c)
			continue
		}
		var err error
		if out, err = s.escape(out); err != nil {
			return nil, err
		}
	}
	return nil, s.bad("a string does not end")
}

const escapes = "\"\\/bfnrt"

func (s *scanner) escape(out []byte) ([]byte, error) {
	c := s.peek()
	s.at++
	if i := strings.IndexByte(escapes, c); c != 0 && i >= 0 {
		return append(out, "\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return nil, s.bad("an unknown escape in a string")
	}
	r, ok := s.unit()
	if ok && utf16.IsSurrogate(r) {
		var low rune
		if ok = bytes.HasPrefix(s.b[min(s.at, len(s.b)):], []byte(`\u`)); ok {
			s.at += 2
			low, ok = s.unit()
		}
		r = utf16.DecodeRune(r, low)
		ok = ok && r != utf8.RuneError
	}
	if !ok {
		return nil, s.bad("a broken escape in a string")
	}
	return utf8.AppendRune(out, r), nil
}

// unit reads the four digits of a \u escape.
func (s *scanner) unit() (r rune, ok bool) {
	if s.at+4 > len(s.b) {
		return 0, false
	}
	for _, c := range s.b[s.at : s.at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += 4
	return r, true
}

// number follows RFC 8259 section 6.
func (s *scanner) number() error {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	ok := s.peek() == '0'
	if ok {
		s.at++
	} else {
		ok = s.digits()
	}
	if ok && s.peek() == '.' {
		s.at++
		ok = s.digits()
	}
	if c := s.peek(); ok && (c == 'e' || c == 'E') {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		ok = s.digits()
	}
	if !ok {
		return s.bad("a broken number")
	}
	if s.at-start > MaxNumber {
		return s.bad(fmt.Sprintf("a number of more than %d characters", MaxNumber))
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > start
}
