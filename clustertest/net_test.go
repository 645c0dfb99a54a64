package clustertest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// network is where the nodes live: a namespace each, on one bridge that has an
// address for the test itself; or loopback addresses, when bridged is false.
type network struct {
	name    string // of the bridge, and the beginning of every other name
	bridged bool
	why     string // there is no bridge
	subnet  string // the first three bytes of every address
	hosts   []*host
}

// host is the place of one node. Its addresses stay over restarts.
type host struct {
	number int
	addr   string
	space  string // name of the namespace, empty on loopback
}

const namespaces = "/run/netns"

// newNetwork makes the bridge, or says why it cannot.
func newNetwork() *network {
	id := os.Getpid()
	n := &network{name: fmt.Sprintf("rc%d", id)}
	if n.why = n.makeBridge(id); n.why == "" {
		n.bridged = true
		return n
	}
	n.subnet = fmt.Sprintf("127.%d.%d", 1+id/250%250, 1+id%250)
	return n
}

func (n *network) makeBridge(id int) (why string) {
	if *nearOnly {
		return "loopback addresses were asked for"
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "there is no program " + tool + " (Debian: iproute2, nftables)"
		}
	}
	if err := command("ip", "link", "add", n.name, "type", "bridge"); err != nil {
		return err.Error()
	}
	n.subnet = freeSubnet(id)
	err := errors.Join(
		command("ip", "addr", "add", n.subnet+".254/24", "dev", n.name),
		command("ip", "link", "set", n.name, "up"))
	if err == nil {
		var h *host
		if h, err = n.addHost(250, true); err == nil {
			err = errors.Join(command("ip", "netns", "exec", h.space, "nft", "list", "ruleset"), n.removeHost(h))
		}
	}
	if err != nil {
		return errors.Join(err, n.close()).Error()
	}
	return ""
}

// freeSubnet is a /24 that nobody on this machine has an address of.
func freeSubnet(id int) string {
	taken := map[string]bool{}
	addresses, _ := net.InterfaceAddrs() // none: nothing is taken
	for _, a := range addresses {
		ip, _, _ := net.ParseCIDR(a.String())
		if ip4 := ip.To4(); ip4 != nil {
			taken[fmt.Sprintf("%d.%d.%d", ip4[0], ip4[1], ip4[2])] = true
		}
	}
	for i := id; ; i++ {
		s := fmt.Sprintf("10.%d.%d", 64+i/250%64, 1+i%250)
		if !taken[s] {
			return s
		}
	}
}

// host makes the place of node number i, or finds it.
func (n *network) host(i int) (*host, error) {
	for _, h := range n.hosts {
		if h.number == i {
			return h, nil
		}
	}
	h, err := n.addHost(i, n.bridged)
	if err == nil {
		n.hosts = append(n.hosts, h)
	}
	return h, err
}

func (n *network) addHost(i int, bridged bool) (*host, error) {
	h := &host{number: i, addr: fmt.Sprintf("%s.%d", n.subnet, i)}
	if !bridged {
		return h, nil
	}
	h.space = fmt.Sprintf("%s-n%d", n.name, i)
	for _, line := range []string{
		"netns add " + h.space,
		"link add " + h.space + " type veth peer name eth0 netns " + h.space,
		"link set " + h.space + " master " + n.name + " up",
		"-n " + h.space + " addr add " + h.addr + "/24 dev eth0",
		"-n " + h.space + " link set eth0 up",
		"-n " + h.space + " link set lo up",
	} {
		if err := command("ip", strings.Fields(line)...); err != nil {
			return nil, errors.Join(err, n.removeHost(h))
		}
	}
	return h, nil
}

func (n *network) removeHost(h *host) error {
	if h.space == "" {
		return nil
	}
	err := command("ip", "netns", "del", h.space)
	// The pair goes with the namespace, but later; a next one of the same name must not meet it.
	_ = command("ip", "link", "del", h.space) // it may be gone
	return err
}

// link pulls or plugs the node's cable: at its other end, so that the node keeps
// its address and routes as a machine does.
func (n *network) link(h *host, up bool) error {
	state := "down"
	if up {
		state = "up"
	}
	return command("ip", "link", "set", h.space, state)
}

// cut makes a node lose every packet that comes from another one; what it sends
// arrives.
func (n *network) cut(h, from *host) error { return h.filter("ip saddr " + from.addr + " drop") }

// lose makes a node lose so many of a hundred packets that come to it.
func (n *network) lose(h *host, of int) error {
	return h.filter(fmt.Sprintf("meta iifname eth0 numgen random mod 100 < %d drop", of))
}

func (h *host) filter(rule string) error {
	c := exec.Command("ip", "netns", "exec", h.space, "nft", "-f", "-")
	c.Stdin = strings.NewReader("table inet cut {\n chain in {\n  type filter hook input priority 0\n  " + rule + "\n }\n}\n")
	return run(c)
}

// mend undoes all that was filtered at a node.
func (n *network) mend(h *host) error {
	return command("ip", "netns", "exec", h.space, "nft", "flush", "ruleset")
}

// clear removes the nodes' places, close the bridge too.
func (n *network) clear() error {
	var errs []error
	for _, h := range n.hosts {
		errs = append(errs, n.removeHost(h))
	}
	n.hosts = nil
	return errors.Join(errs...)
}

func (n *network) close() error {
	err := n.clear()
	if n.bridged || n.why == "" {
		err = errors.Join(err, command("ip", "link", "del", n.name))
	}
	return err
}

// within runs f on a thread in the host's namespace. The thread is not used for
// anything else, and stays until release is closed: a child dies with the thread
// that started it.
func (h *host) within(release <-chan struct{}, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- h.enter(f)
		<-release
	}()
	return <-done
}

func (h *host) enter(f func() error) error {
	if h.space == "" {
		return f()
	}
	fd, err := os.Open(filepath.Join(namespaces, h.space))
	if err != nil {
		return err
	}
	defer func() { _ = fd.Close() }() // it was only for entering
	if err := unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", h.space, err)
	}
	return f()
}

func command(name string, args ...string) error { return run(exec.Command(name, args...)) }

func run(c *exec.Cmd) error {
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

var ours = regexp.MustCompile(`^rc([0-9]+)(-n[0-9]+)?$`)

// removeLeftovers takes away what runs of this test have left that are not there
// any more.
func removeLeftovers() {
	removeMounts()
	spaces, _ := os.ReadDir(namespaces) // none, no leftovers
	for _, s := range spaces {
		if abandoned(s.Name()) {
			_ = command("ip", "netns", "del", s.Name()) // another run may do the same
		}
	}
	links, _ := net.Interfaces()
	for _, l := range links {
		if abandoned(l.Name) {
			_ = command("ip", "link", "del", l.Name) // it may have gone with its namespace
		}
	}
}

func abandoned(name string) bool {
	m := ours.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	id, err := strconv.Atoi(m[1])
	return err == nil && errors.Is(syscall.Kill(id, 0), syscall.ESRCH)
}
