package scenario

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// order of the list: from the shortest to the most special.
var order = []string{
	"smoke", "steady", "login-storm", "reconnect-storm", "hot-user", "flapping", "slow-consumers", "office-day", "saturation",
}

// Shipped are the names of the scenarios that come with the program.
func Shipped() []string { return order }

// Text is a shipped scenario's file; false when there is none of that name.
func Text(name string) ([]byte, bool) {
	b, err := shipped.ReadFile("shipped/" + name + ".yaml")
	return b, err == nil
}

// Load reads a shipped scenario by name.
func Load(name string) (*Scenario, error) {
	text, ok := Text(name)
	if !ok {
		return nil, fmt.Errorf("no scenario is called %q: there are %s, or name a file", name, strings.Join(order, ", "))
	}
	return Parse(name+".yaml", text)
}
