package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/pkcs11"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
	"coffer/vault/server/store/etcd"
)

// parts are the store and the sealer of a vault, opened.
type parts struct {
	store  store.Store
	sealer seal.Sealer
	db     *bolt.DB // of the store "bolt": what a backup copies
	facts  facts
	// ready asks store and sealer whether they could answer a request now.
	ready []func(context.Context) error
	// gone is closed when store or sealer will answer nothing any more; nil: never.
	gone <-chan struct{}
	// hardware returns lines about it for who runs the vault; nil: there is none.
	hardware    func(context.Context) ([]string, error)
	endorsement []byte // the TPM's certificate of its maker, DER

	closers []func() error // last one first
}

func (p *parts) Close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	return errors.Join(errs...)
}

// opening says how the parts are opened.
type opening struct {
	dir    folder
	config Config
	keys   keyFile
	create bool // the vault is being made
	clock  func() time.Time
	log    *slog.Logger
}

// storePatience is how long another process may take to let go of the file: one that was
// just told to end.
const storePatience = 5 * time.Second

// open opens store and sealer. [ErrStore], [ErrSeal], [ErrConfig].
func (o opening) open(ctx context.Context) (_ *parts, err error) {
	spec, err := parseSeal(o.config.Seal)
	if err != nil {
		return nil, err
	}
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := o.openStore(ctx, p); err != nil {
		return nil, fmt.Errorf("open store: %w: %w", ErrStore, err)
	}
	switch {
	case spec.class == seal.ClassSoftware:
		p.sealer = seal.NewSoft(o.keys.Seal)
	case spec.class == seal.ClassToken:
		err = o.openToken(ctx, p, spec)
	default:
		err = o.openTPM(ctx, p, spec)
	}
	if err != nil {
		return nil, fmt.Errorf("open sealer: %w: %w", ErrSeal, err)
	}
	return p, nil
}

func (o opening) openStore(ctx context.Context, p *parts) error {
	switch o.config.Store {
	case StoreEtcd:
		return o.openCluster(ctx, p, o.config.Etcd.Endpoints)
	case StoreEmbedded:
		if o.create {
			return nil // the other members are not there yet: a member alone could not even end
		}
		m, err := o.startMember(ctx)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, m.Close)
		p.gone = m.Stopped()
		return o.openCluster(ctx, p, append(m.Endpoints(), o.config.Etcd.Endpoints...))
	}
	if !o.create && !o.dir.has(dbName) {
		return fmt.Errorf("%s is missing: %w", dbName, ErrDamaged)
	}
	db, err := bolt.Open(o.dir.file(dbName), storePatience)
	if err != nil {
		return err
	}
	p.store, p.db = db, db
	p.closers = append(p.closers, db.Close)
	return nil
}

// clusterPatience bounds how long a start waits for the other members. A program that is
// started again and again by its keeper waits longer.
const clusterPatience = 2 * time.Minute

func (o opening) openCluster(ctx context.Context, p *parts, endpoints []string) error {
	ctx, cancel := context.WithTimeout(ctx, clusterPatience)
	defer cancel()
	options := etcd.Options{
		Endpoints: endpoints, Prefix: o.config.Etcd.Prefix, Username: o.config.Etcd.Username, Log: o.log,
	}
	var err error
	if options.TLS, err = o.clusterTLS(); err != nil {
		return err
	}
	if path := o.config.Etcd.PasswordFile; path != "" {
		password, err := o.secretFile(path)
		if err != nil {
			return err
		}
		options.Password = func() string { return string(password) }
	}
	db, err := etcd.Open(ctx, options)
	if err != nil {
		return err
	}
	p.store, p.ready = db, append(p.ready, db.Ready)
	p.closers = append(p.closers, db.Close)
	return nil
}

// clusterTLS returns whom to trust and what to show; nil where nothing is configured.
func (o opening) clusterTLS() (*tls.Config, error) {
	ca, certificate, key := o.config.Etcd.CA, o.config.Etcd.Certificate, o.config.Etcd.Key
	if o.config.Store == StoreEmbedded && ca == "" && certificate == "" {
		ca, certificate, key = o.config.Etcd.Member.CA, o.config.Etcd.Member.Certificate, o.config.Etcd.Member.Key
	}
	if ca == "" && certificate == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(o.dir.at(ca))
		if err != nil {
			return nil, fmt.Errorf("read etcd.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, wrong("etcd.ca", "it holds no certificate in PEM")
		}
	}
	if certificate != "" {
		cert, err := tls.LoadX509KeyPair(o.dir.at(certificate), o.dir.at(key))
		if err != nil {
			return nil, fmt.Errorf("load etcd.certificate: %w: %w", ErrCertificate, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

func (o opening) startMember(ctx context.Context) (*etcd.Member, error) {
	m := o.config.Etcd.Member
	files := etcd.TLSFiles{CA: o.dir.at(m.CA), Certificate: o.dir.at(m.Certificate), Key: o.dir.at(m.Key)}
	return etcd.StartMember(ctx, etcd.MemberOptions{
		Name: m.Name, Dir: o.dir.file(memberName), ListenPeer: m.ListenPeer, AdvertisePeer: m.AdvertisePeer,
		ListenClient: m.ListenClient, AdvertiseClient: m.AdvertiseClient, InitialCluster: m.Cluster, New: !m.Join,
		PeerTLS: files, ClientTLS: files, Log: o.log,
	})
}

// maxSecretFile bounds a file with a password, in bytes.
const maxSecretFile = 1 << 10

// secretFile reads a password: the content of a file without the newline at its end.
func (o opening) secretFile(path string) ([]byte, error) {
	dir, name := filepath.Split(o.dir.at(path))
	b, err := folder(dir).readSecret(name, maxSecretFile)
	if err != nil {
		return nil, err
	}
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	return b, nil
}

func (o opening) openToken(ctx context.Context, p *parts, spec sealSpec) error {
	options, pin, err := pkcs11.ParseURI(spec.uri)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if pin == "" {
		return wrong("seal", "the URI of the token must say where its PIN is: pin-source=file:/FILE")
	}
	options.PIN = pkcs11.PINFile(pin)
	// Vaults that share a token have objects of their own.
	options.Label = fmt.Sprintf("coffer-vault-%x", o.keys.ID)
	open := pkcs11.Open
	if o.create {
		open = pkcs11.Setup
	}
	token, err := open(ctx, options)
	if err != nil {
		return err
	}
	p.sealer, p.hardware, p.ready = token, token.Status, append(p.ready, token.Ready)
	p.closers = append(p.closers, token.Close)
	return nil
}
