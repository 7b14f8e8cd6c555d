// Package etcdtest runs real etcd clusters for tests, and breaks them: members are
// killed, restarted and cut off from each other.
//
// Words:
//
//   - isolated: each member lives in a network namespace of its own, with one link to the
//     other members and one to the test. Linux and root only.
//   - partition: a member's link to the other members is down. The test still reaches it,
//     and sees what a minority answers.
//
// A test that needs a program that is missing here is skipped with the words "not
// installed", and one that may not make namespaces with "not permitted".
package etcdtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTime bounds how long a cluster may take until it is healthy, on a busy computer.
const startTime = 60 * time.Second

// Cluster is a running cluster. Its methods end the test where they fail. One goroutine at
// a time may kill and restart; the others may ask meanwhile.
type Cluster struct {
	t       testing.TB
	members []*member
	network *network // nil: not isolated
	client  *tls.Config
	web     *http.Client
}

type member struct {
	name    string
	dir     string
	url     string // for clients
	args    []string
	command *exec.Cmd // nil: not running
	exited  chan struct{}
}

// StartCluster starts n members on loopback, without TLS, and waits until all are healthy.
// It ends them when the test ends.
func StartCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	need(t, "etcd")
	c := &Cluster{t: t}
	ports := freePorts(t, 2*n)
	var peers []string
	for i := range n {
		peers = append(peers, fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1]))
		c.members = append(c.members, &member{name: fmt.Sprintf("m%d", i), url: fmt.Sprintf("http://127.0.0.1:%d", ports[2*i])})
	}
	c.start(peers, nil)
	return c
}

// StartIsolatedCluster starts n isolated members, with TLS, and waits until all are
// healthy.
func StartIsolatedCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	need(t, "etcd")
	net := newNetwork(t, n)
	c := &Cluster{t: t, network: net}
	authority := NewAuthority(t)
	c.client = authority.Client()
	var peers []string
	var files [][]string
	for i := range n {
		c.members = append(c.members, &member{name: fmt.Sprintf("m%d", i), url: "https://" + net.clientHost(i) + ":2379"})
		peers = append(peers, "https://"+net.peerHost(i)+":2380")
		ca, certificate, key := authority.Files(net.clientHost(i), net.peerHost(i))
		files = append(files, []string{
			"--client-cert-auth", "--trusted-ca-file", ca, "--cert-file", certificate, "--key-file", key,
			"--peer-client-cert-auth", "--peer-trusted-ca-file", ca, "--peer-cert-file", certificate, "--peer-key-file", key,
		})
	}
	c.start(peers, files)
	return c
}

func (c *Cluster) start(peers []string, extra [][]string) {
	c.t.Helper()
	var cluster []string
	for i, m := range c.members {
		cluster = append(cluster, m.name+"="+peers[i])
	}
	for i, m := range c.members {
		m.dir = filepath.Join(c.t.TempDir(), m.name)
		m.args = []string{
			"--name", m.name, "--data-dir", m.dir,
			"--listen-client-urls", m.url, "--advertise-client-urls", m.url,
			"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
			"--initial-cluster", strings.Join(cluster, ","),
			"--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error",
		}
		if extra != nil {
			m.args = append(m.args, extra[i]...)
		}
	}
	transport := &http.Transport{TLSClientConfig: c.client, DisableKeepAlives: true}
	c.web = &http.Client{Transport: transport, Timeout: 2 * time.Second}
	c.t.Cleanup(c.end)
	for i := range c.members {
		c.Restart(i)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), startTime)
	defer cancel()
	c.WaitHealthy(ctx)
}

func (c *Cluster) end() {
	for i, m := range c.members {
		if m.command != nil {
			c.Kill(i)
		}
		if c.t.Failed() {
			c.t.Logf("%s said: %s", m.name, tail(m.dir+".log"))
		}
	}
}

// Len gives the number of members, running or not.
func (c *Cluster) Len() int { return len(c.members) }

// Endpoints gives the client URLs of all members.
func (c *Cluster) Endpoints() []string {
	var all []string
	for _, m := range c.members {
		all = append(all, m.url)
	}
	return all
}

// Endpoint gives the client URL of one member.
func (c *Cluster) Endpoint(i int) string { return c.members[i].url }

// TLS gives what a client needs: nil for a cluster that is not isolated.
func (c *Cluster) TLS() *tls.Config {
	if c.client == nil {
		return nil
	}
	return c.client.Clone()
}

// Dir gives the folder of a member's data.
func (c *Cluster) Dir(i int) string { return c.members[i].dir }

// Kill ends a member as a crash does: SIGKILL.
func (c *Cluster) Kill(i int) { c.stop(i, syscall.SIGKILL) }

// Stop ends a member in good order: SIGTERM.
func (c *Cluster) Stop(i int) { c.stop(i, syscall.SIGTERM) }

func (c *Cluster) stop(i int, signal syscall.Signal) {
	m := c.members[i]
	if m.command == nil {
		c.t.Errorf("member %d is not running", i)
		return
	}
	if err := m.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Errorf("end member %d: %v", i, err)
	}
	select {
	case <-m.exited:
	case <-time.After(startTime):
		c.t.Errorf("member %d does not end", i)
		_ = m.command.Process.Kill()
		<-m.exited
	}
	m.command = nil
}

// Restart starts a member that is not running, with the data that it had. It does not wait
// for it: [Cluster.WaitHealthy] does.
func (c *Cluster) Restart(i int) {
	m := c.members[i]
	if m.command != nil {
		c.t.Fatalf("member %d is running", i)
	}
	command := c.Command(i, "etcd", m.args...)
	log, err := os.OpenFile(m.dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			c.t.Error(err)
		}
	}()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		c.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = command.Wait() // "killed" is no news
		close(exited)
	}()
	m.command, m.exited = command, exited
}

// Command gives a program that will run where member i does: in its namespace, when the
// cluster is isolated.
func (c *Cluster) Command(i int, name string, args ...string) *exec.Cmd {
	if c.network == nil {
		return exec.Command(name, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", c.network.space(i), name}, args...)...)
}

// Partition cuts member i off from the others. The test still reaches it.
func (c *Cluster) Partition(i int) { c.isolated().set(c.t, i, "down") }

// Heal joins member i again.
func (c *Cluster) Heal(i int) { c.isolated().set(c.t, i, "up") }

func (c *Cluster) isolated() *network {
	c.t.Helper()
	if c.network == nil {
		c.t.Fatal("only an isolated cluster can be partitioned")
	}
	return c.network
}

// Leader gives the member that leads now, or -1.
func (c *Cluster) Leader() int {
	for i := range c.members {
		var status struct {
			Header struct {
				Member string `json:"member_id"`
			} `json:"header"`
			Leader string `json:"leader"`
		}
		err := c.ask(c.t.Context(), i, http.MethodPost, "/v3/maintenance/status", &status)
		if err == nil && status.Leader != "" && status.Leader == status.Header.Member {
			return i
		}
	}
	return -1
}

// WaitHealthy waits until all members that run say that they see a leader and a quorum.
func (c *Cluster) WaitHealthy(ctx context.Context) {
	c.t.Helper()
	for i, m := range c.members {
		if m.command == nil {
			continue
		}
		c.wait(ctx, m, func() error {
			var health struct {
				Health string `json:"health"`
			}
			if err := c.ask(ctx, i, http.MethodGet, "/health", &health); err != nil {
				return err
			}
			if health.Health != "true" {
				return errors.New("not healthy")
			}
			return nil
		})
	}
}

func (c *Cluster) wait(ctx context.Context, m *member, healthy func() error) {
	c.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := healthy()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-m.exited:
			c.t.Fatalf("%s has ended: %s", m.name, tail(m.dir+".log"))
		case <-ctx.Done():
			c.t.Fatalf("%s is not healthy: %v", m.name, err)
		}
	}
}

// ask puts a question to etcd's JSON gateway.
func (c *Cluster) ask(ctx context.Context, i int, method, path string, answer any) (err error) {
	request, err := http.NewRequestWithContext(ctx, method, c.members[i].url+path, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	response, err := c.web.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	return json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(answer)
}

func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(program + " is not installed")
	}
}

// tail gives the end of a log.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}

// freePorts finds ports on loopback below those that the system gives to connections: the
// port of a killed member must still be free when it comes back. Each is reserved until
// the test ends, against other tests that look for one, by its namesake in UDP.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	const low, high = 12000, 32000
	var ports []int
	for k := range high - low {
		port := low + (os.Getpid()*61+k)%(high-low)
		if !reserve(t, fmt.Sprintf("127.0.0.1:%d", port)) {
			continue
		}
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

func reserve(t testing.TB, address string) bool {
	t.Helper()
	mark, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		_ = mark.Close()
		return false
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mark.Close() })
	return true
}

// FreeAddresses gives n addresses on loopback, "127.0.0.1:port", that nobody listens at.
// No other test gets them until t ends.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	var all []string
	for _, port := range freePorts(t, n) {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return all
}
