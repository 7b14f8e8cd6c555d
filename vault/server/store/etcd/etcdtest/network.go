package etcdtest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Links to the test come from 198.18.0.0/15, which RFC 2544 sets aside for such: 32
// addresses for each cluster, 4 for each member. Links between members lie inside of the
// namespaces, where every cluster can have the same addresses.
const (
	clusters   = 4096
	perCluster = 32
	perMember  = 4
	maxMembers = perCluster / perMember
)

// network is a hub, and a namespace for each member.
type network struct {
	slot int // which part of 198.18.0.0/15
}

// newNetwork makes the namespaces and removes them when the test ends.
func newNetwork(t testing.TB, n int) *network {
	t.Helper()
	need(t, "ip")
	if os.Geteuid() != 0 {
		t.Skip("network namespaces: not permitted")
	}
	if n > maxMembers {
		t.Fatalf("%d members, at most %d", n, maxMembers)
	}
	w := &network{}
	w.reserve(t)
	ip(t, "-n", w.hub(), "link", "add", "hub", "type", "bridge")
	ip(t, "-n", w.hub(), "link", "set", "hub", "up")
	for i := range n {
		w.add(t, i)
	}
	return w
}

// add makes the namespace of a member, and its links. They go when the namespace goes.
func (w *network) add(t testing.TB, i int) {
	t.Helper()
	space, port, outside := w.space(i), fmt.Sprintf("p%d", i), fmt.Sprintf("cft%dn%d", w.slot, i)
	ip(t, "netns", "add", space)
	t.Cleanup(func() { ip(t, "netns", "del", space) })
	ip(t, "-n", space, "link", "set", "lo", "up")

	ip(t, "link", "add", port, "netns", w.hub(), "type", "veth", "peer", "name", "members", "netns", space)
	ip(t, "-n", w.hub(), "link", "set", port, "master", "hub", "up")
	ip(t, "-n", space, "address", "add", w.peerHost(i)+"/24", "dev", "members")
	ip(t, "-n", space, "link", "set", "members", "up")

	ip(t, "link", "add", outside, "type", "veth", "peer", "name", "test", "netns", space)
	ip(t, "address", "add", w.address(i, 1)+"/30", "dev", outside)
	ip(t, "link", "set", outside, "up")
	ip(t, "-n", space, "address", "add", w.clientHost(i)+"/30", "dev", "test")
	ip(t, "-n", space, "link", "set", "test", "up")
}

// set takes a member's link to the others "up" or "down", at the hub.
func (w *network) set(t testing.TB, i int, state string) {
	t.Helper()
	ip(t, "-n", w.hub(), "link", "set", fmt.Sprintf("p%d", i), state)
}

func (w *network) hub() string             { return fmt.Sprintf("cft%d-hub", w.slot) }
func (w *network) space(i int) string      { return fmt.Sprintf("cft%d-%d", w.slot, i) }
func (w *network) peerHost(i int) string   { return fmt.Sprintf("10.77.0.%d", i+1) }
func (w *network) clientHost(i int) string { return w.address(i, 2) }

// address gives an address of the link between the test and a member: 1 is the test's
// end, 2 the member's.
func (w *network) address(i, end int) string {
	n := w.slot*perCluster + i*perMember + end
	return netip.AddrFrom4([4]byte{198, 18 + byte(n>>16), byte(n >> 8), byte(n)}).String()
}

// reserve finds addresses that no other test on this computer uses now, and makes the hub,
// whose name is taken from then on.
func (w *network) reserve(t testing.TB) {
	t.Helper()
	taken := takenSlots(t)
	for k := range clusters {
		w.slot = (os.Getpid() + k) % clusters
		if taken[w.slot] {
			continue
		}
		out, err := exec.Command("ip", "netns", "add", w.hub()).CombinedOutput()
		if err == nil {
			t.Cleanup(func() { ip(t, "netns", "del", w.hub()) })
			return
		}
		if !strings.Contains(string(out), "File exists") {
			t.Skipf("network namespaces: not permitted: %s", out)
		}
	}
	t.Fatal("no free addresses")
}

func takenSlots(t testing.TB) map[int]bool {
	t.Helper()
	taken := map[int]bool{}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !netip.MustParsePrefix("198.18.0.0/15").Contains(prefix.Addr()) {
			continue
		}
		b := prefix.Addr().As4()
		taken[(int(b[1]-18)<<16+int(b[2])<<8+int(b[3]))/perCluster] = true
	}
	return taken
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v: %s", args, err, out)
	}
}
