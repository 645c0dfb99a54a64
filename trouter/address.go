package trouter

import (
	"errors"
	"fmt"
	"strings"
)

// ErrAddress is returned by ParseURL and Address.Validate.
var ErrAddress = errors.New("trouter: not an endpoint address")

// maxURL is the longest URL looked at, in bytes.
const maxURL = 2 << 10

// Address names an endpoint: where it is connected and for whom. It is a name,
// not a permission; who may use it is decided by the caller.
type Address struct {
	Org      string // 1 to 64 bytes of [A-Za-z0-9._-], not "." or ".."
	Tenant   string // UUID, lower case
	Node     string // as Org
	Endpoint string // 32 lower-case hex digits, 128 random bits
}

// URL is where the endpoint's messages are posted:
// base/trouter/org/tenant/node/endpoint/ . The address must be valid.
func (a Address) URL(base string) string {
	return strings.TrimRight(base, "/") + "/trouter/" +
		a.Org + "/" + a.Tenant + "/" + a.Node + "/" + a.Endpoint + "/"
}

// Validate returns ErrAddress and the part that is wrong.
func (a Address) Validate() error {
	switch {
	case !isName(a.Org):
		return fmt.Errorf("%w: organisation must be 1 to 64 of A-Z a-z 0-9 . _ -", ErrAddress)
	case !isUUID(a.Tenant):
		return fmt.Errorf("%w: tenant must be a lower-case UUID", ErrAddress)
	case !isName(a.Node):
		return fmt.Errorf("%w: node must be 1 to 64 of A-Z a-z 0-9 . _ -", ErrAddress)
	case !isHex(a.Endpoint, 32):
		return fmt.Errorf("%w: endpoint must be 32 lower-case hex digits", ErrAddress)
	}
	return nil
}

// ParseURL takes an endpoint URL that a client sends back. Clients append the
// name of a service, and some double the slash before it; both are accepted and
// dropped, as is upper case in the tenant. Everything else that URL would not
// have written is ErrAddress: another base, a query, a fragment, an escape in a
// part, a malformed escape in the service, more than 2 KiB.
func ParseURL(s, base string) (Address, error) {
	if len(s) > maxURL {
		return Address{}, fmt.Errorf("%w: longer than %d bytes", ErrAddress, maxURL)
	}
	rest, ok := strings.CutPrefix(s, strings.TrimRight(base, "/")+"/")
	if !ok {
		return Address{}, fmt.Errorf("%w: not under %s", ErrAddress, base)
	}
	var parts [6]string
	n := 0
	for p := range strings.SplitSeq(rest, "/") {
		if p == "" {
			continue
		}
		if n == len(parts) {
			return Address{}, fmt.Errorf("%w: too many parts", ErrAddress)
		}
		parts[n] = p
		n++
	}
	if n < 5 || parts[0] != "trouter" {
		return Address{}, fmt.Errorf("%w: want /trouter/org/tenant/node/endpoint/", ErrAddress)
	}
	if !isService(parts[5]) {
		return Address{}, fmt.Errorf("%w: bad character or escape in the service name", ErrAddress)
	}
	a := Address{Org: parts[1], Tenant: strings.ToLower(parts[2]), Node: parts[3], Endpoint: parts[4]}
	if err := a.Validate(); err != nil {
		return Address{}, err
	}
	return a, nil
}

func isName(s string) bool {
	if s == "" || len(s) > 64 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if !isWord(s[i]) {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '_' || c == '-'
}

func isLowerHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		if !isLowerHex(s[i]) {
			return false
		}
	}
	return true
}

func isUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	return isHex(s[:8], 8) && isHex(s[9:13], 4) && isHex(s[14:18], 4) &&
		isHex(s[19:23], 4) && isHex(s[24:], 12)
}

// isService accepts a path segment, or none: word characters and well-formed
// escapes of anything but a control byte or a separator.
func isService(s string) bool {
	if s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		if isWord(s[i]) || s[i] == '~' {
			continue
		}
		if s[i] != '%' || i+2 >= len(s) {
			return false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		c := hi<<4 | lo
		if hi > 15 || lo > 15 || c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			return false
		}
		i += 2
	}
	return true
}

// unhex is the value of a hex digit, 255 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
