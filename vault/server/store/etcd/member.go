package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/features"
)

// ErrStopped says that a member has stopped: by Close, because it was removed from its
// cluster, or because its disk failed.
var ErrStopped = errors.New("etcd: the member has stopped")

// Defaults of [MemberOptions].
const (
	DefaultClusterToken = "coffer-vault"
	DefaultQuota        = 8 << 30
	DefaultHeartbeat    = 100 * time.Millisecond
)

// electionBeats is how many heartbeats a member misses before it wants an election.
const electionBeats = 10

// TLSFiles are the paths of PEM files. All three or none: a server that asks for no
// certificate is open to everybody.
type TLSFiles struct {
	CA          string // who has signed the certificates of those who may connect
	Certificate string // of this member, for server and client use
	Key         string // of the certificate
}

func (f TLSFiles) none() bool  { return f == TLSFiles{} }
func (f TLSFiles) whole() bool { return f.CA != "" && f.Certificate != "" && f.Key != "" }

func (f TLSFiles) info() transport.TLSInfo {
	return transport.TLSInfo{TrustedCAFile: f.CA, CertFile: f.Certificate, KeyFile: f.Key, ClientCertAuth: !f.none()}
}

// MemberOptions describe a member. Addresses are URLs, "https://host:port"; "http://" only
// on loopback.
type MemberOptions struct {
	// Name is the member's in InitialCluster.
	Name string
	// Dir is the member's alone; it is made with mode 0700.
	Dir string
	// ListenPeer and ListenClient are bound; their hosts are IP addresses or "localhost".
	ListenPeer   string
	ListenClient string
	// AdvertisePeer and AdvertiseClient are what others are told; empty: what is bound.
	AdvertisePeer   string
	AdvertiseClient string
	// InitialCluster names all members of a new cluster, or all of the existing one and
	// this one: "name=URL,name=URL", the URLs being AdvertisePeer of each. It is ignored
	// when Dir holds a member.
	InitialCluster string
	// Token tells clusters apart, so that members of two never join by mistake.
	// [DefaultClusterToken].
	Token string
	// New says that the cluster is new; otherwise this member joins one that was told of
	// it before ("etcdctl member add").
	New bool
	// PeerTLS and ClientTLS are needed as soon as an address is not on loopback.
	PeerTLS   TLSFiles
	ClientTLS TLSFiles
	// Quota bounds the data file, in bytes; a full member refuses writes. [DefaultQuota]:
	// etcd's own limit is a fourth of it.
	Quota int64
	// Heartbeat is how often a leader is heard of, and a tenth of the patience of the
	// others with it. It should be more than a round trip between members.
	// [DefaultHeartbeat].
	Heartbeat time.Duration
	// Log gets the warnings of the member. nil: nobody does.
	Log *slog.Logger
}

// A Member is one server of a cluster, in this process. When its disk fails or its data
// turn out to be damaged, etcd ends the process: a vault that cannot count must not go on.
type Member struct {
	etcd      *embed.Etcd
	endpoints []string
	end       sync.Once
	ending    *atomic.Bool // it was told to stop
}

// StartMember starts a member. It does not wait for the others ([Member.Ready] does): the
// members of a new cluster are started one after the other. [ErrOptions].
func StartMember(ctx context.Context, options MemberOptions) (*Member, error) {
	ending := new(atomic.Bool)
	if options.Log != nil {
		options.Log = slog.New(untilEnd{options.Log.Handler(), ending})
	}
	config, err := options.config()
	if err != nil {
		return nil, fmt.Errorf("start member: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start member: %w", err)
	}
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	// etcd asks the other members about itself, takes its time, and takes no context.
	started := make(chan result, 1)
	go func() {
		e, err := embed.StartEtcd(config)
		started <- result{e, err}
	}()
	select {
	case r := <-started:
		if r.err != nil {
			return nil, fmt.Errorf("start member: %w", r.err)
		}
		return &Member{etcd: r.etcd, ending: ending, endpoints: []string{config.AdvertiseClientUrls[0].String()}}, nil
	case <-ctx.Done():
		go func() {
			if r := <-started; r.err == nil {
				r.etcd.Close()
			}
		}()
		return nil, fmt.Errorf("start member: %w", ctx.Err())
	}
}

// config checks the options and returns them as etcd wants them.
func (o MemberOptions) config() (*embed.Config, error) {
	if o.Name == "" || strings.ContainsAny(o.Name, "=,") || o.Dir == "" {
		return nil, fmt.Errorf("%w: a member needs a name and a folder", ErrOptions)
	}
	if err := o.checkCluster(); err != nil {
		return nil, err
	}
	listenPeer, advertisePeer, err := addresses(o.ListenPeer, o.AdvertisePeer, o.PeerTLS)
	if err != nil {
		return nil, fmt.Errorf("address for members: %w", err)
	}
	listenClient, advertiseClient, err := addresses(o.ListenClient, o.AdvertiseClient, o.ClientTLS)
	if err != nil {
		return nil, fmt.Errorf("address for clients: %w", err)
	}
	c := embed.NewConfig()
	c.Name, c.Dir = o.Name, o.Dir
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{*listenPeer}, []url.URL{*advertisePeer}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*listenClient}, []url.URL{*advertiseClient}
	c.PeerTLSInfo, c.ClientTLSInfo = o.PeerTLS.info(), o.ClientTLS.info()
	c.InitialCluster = o.InitialCluster
	c.InitialClusterToken = DefaultClusterToken
	if o.Token != "" {
		c.InitialClusterToken = o.Token
	}
	if !o.New {
		c.ClusterState = embed.ClusterStateFlagExisting
	}
	o.tune(c)
	return c, o.guard(c)
}

// tune sets sizes and times.
func (o MemberOptions) tune(c *embed.Config) {
	c.QuotaBackendBytes = DefaultQuota
	if o.Quota > 0 {
		c.QuotaBackendBytes = o.Quota
	}
	beat := DefaultHeartbeat
	if o.Heartbeat > 0 {
		beat = o.Heartbeat
	}
	c.TickMs = uint(max(beat.Milliseconds(), 1))
	c.ElectionMs = electionBeats * c.TickMs
	// Nobody reads former values: they only take room.
	c.AutoCompactionMode = embed.CompactorModeRevision
	c.AutoCompactionRetention = "1000"
	// A shorter log lets fewer former values lie around, and starts faster.
	c.MaxWalFiles = 2
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c.LogLevel = "warn"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(log))
}

// guard closes doors that a vault does not need, and has members compare their data.
func (o MemberOptions) guard(c *embed.Config) error {
	c.EnableGRPCGateway = false
	c.CORS = map[string]struct{}{}
	// Against web pages that have their own name point to loopback (CVE-2018-5702).
	c.HostWhitelist = map[string]struct{}{"localhost": {}, "127.0.0.1": {}, "::1": {}}
	c.StrictReconfigCheck = true
	c.PreVote = true
	c.TlsMinVersion = "TLS1.2"
	// A member whose data differ from the others' must not serve them: a count that is
	// too low is a guess too many.
	err := c.ServerFeatureGate.(featuregate.MutableFeatureGate).SetFromMap(map[string]bool{
		string(features.InitialCorruptCheck): true,
		string(features.CompactHashCheck):    true,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// addresses checks what is bound and what others are told.
func addresses(listen, advertise string, files TLSFiles) (*url.URL, *url.URL, error) {
	if advertise == "" {
		advertise = listen
	}
	var both [2]*url.URL
	for i, address := range []string{listen, advertise} {
		u, err := parseAddress(address)
		if err != nil {
			return nil, nil, err
		}
		if err := checkScheme(u, files); err != nil {
			return nil, nil, err
		}
		both[i] = u
	}
	return both[0], both[1], nil
}

func checkScheme(u *url.URL, files TLSFiles) error {
	switch {
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%w: %s is not on this computer: use TLS", ErrOptions, u)
	case u.Scheme == "http" && !files.none():
		return fmt.Errorf("%w: %s would go around TLS", ErrOptions, u)
	case u.Scheme == "https" && !files.whole():
		return fmt.Errorf("%w: %s needs a CA, a certificate and its key", ErrOptions, u)
	}
	return nil
}

// checkCluster reads InitialCluster as strictly as the addresses.
func (o MemberOptions) checkCluster() error {
	own := false
	for _, entry := range strings.Split(o.InitialCluster, ",") {
		name, address, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			return fmt.Errorf("%w: the cluster is name=URL, separated by commas", ErrOptions)
		}
		u, err := parseAddress(address)
		if err != nil {
			return err
		}
		if err := checkScheme(u, o.PeerTLS); err != nil {
			return err
		}
		own = own || name == o.Name
	}
	if !own {
		return fmt.Errorf("%w: the member is not one of the cluster", ErrOptions)
	}
	return nil
}

// Endpoints gives the member's own address for [Options].
func (m *Member) Endpoints() []string { return append([]string(nil), m.endpoints...) }

// Ready waits until the member has joined its cluster and a quorum answers it, as long as
// ctx allows. [ErrStopped].
func (m *Member) Ready(ctx context.Context) error {
	select {
	case <-m.etcd.Server.ReadyNotify():
	case <-m.etcd.Server.StopNotify():
		return fmt.Errorf("wait for member: %w", ErrStopped)
	case <-ctx.Done():
		return fmt.Errorf("wait for member: %w", ctx.Err())
	}
	err := m.etcd.Server.LinearizableReadNotify(ctx)
	if errors.Is(err, etcderrors.ErrStopped) {
		return fmt.Errorf("ask cluster: %w", ErrStopped)
	}
	if err != nil {
		return fmt.Errorf("ask cluster: %w", err)
	}
	return nil
}

// Stopped is closed when the member has stopped, whatever the reason.
func (m *Member) Stopped() <-chan struct{} { return m.etcd.Server.StopNotify() }

// Close hands the lead to another member, if it has it, and stops. It may be repeated.
func (m *Member) Close() error {
	m.ending.Store(true)
	m.end.Do(m.etcd.Close) // etcd's own panics when it is repeated
	return nil
}
