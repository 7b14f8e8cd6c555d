package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coffer/vault/server/node"
)

// initFlags are those of init that are no plain fields of a configuration.
type initFlags struct {
	config     node.Config
	address    []string
	store      string
	waits      string
	register   string
	second     string
	recovery   string
	noRecovery bool
	accept     bool
	qr         qrFlags
	given      []string // the flags that were typed
}

// frontListen is where a vault behind a front listens when nothing is said: loopback, since
// nothing else may see what is not inside of TLS, and not the port of its address, which is
// the front's own.
const frontListen = "127.0.0.1:" + node.DefaultPort

func (p *program) initCommand() *cobra.Command {
	f := initFlags{config: node.DefaultConfig()}
	cmd := p.command("init --address HOST:PORT", "Make a vault and print its link", `
Makes a vault in a folder: keys, configuration (vault.toml), and the first signed bundle.
The link goes alone to standard output; all that is said to people goes to standard error.
An existing vault is never touched.

Who holds the keys (--seal), fixed for ever:
  soft                   a file. Whoever copies the folder, and has a backup's files, can guess
  pkcs11:URI             a token; the URI names module and PIN file (RFC 7512)
  tpm-epochs[:DEVICE]    the TPM: no old copy of the store opens, and none elsewhere
  tpm[:DEVICE]           and the TPM counts the tries: nobody on this computer exceeds them.
                         Tens of records: a home, a family

Where records lie (--store), fixed for ever:
  bolt                   a file in the folder
  etcd:URL,URL,...       a cluster of etcd
  etcd-embedded          a cluster whose members run inside of the vaults (--member...)

root.key signs what the vault says about itself. For more than a home move it away from
this computer when 'init' is done.

JSON: {"type":"summary","link","fingerprint","vault","root_key","staged"}

  coffer-vault init --address vault.example.org:7443
  coffer-vault init --address nas.local:7443 --seal tpm --recovery /media/stick/recovery.txt
  coffer-vault init --address vault.example.org:443 --register oidc:https://id.example.org --client-id coffer`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error { return p.init(ctx, &f) })
	f.add(cmd)
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		cmd.Flags().Visit(func(flag *pflag.Flag) { f.given = append(f.given, flag.Name) })
	}
	return cmd
}

func (f *initFlags) add(cmd *cobra.Command) {
	c, s := &f.config, cmd.Flags()
	s.StringArrayVar(&f.address, "address", nil, "how others reach this computer, `HOST:PORT` (may be repeated; default: its name, port "+node.DefaultPort+")")
	s.StringVar(&c.Name, "name", "", "who runs the vault, for people: `TEXT` (default: the host)")
	s.StringArrayVar(&c.Listen, "listen", nil, "listen on `[ADDRESS]:PORT` (may be repeated; default: the ports of the addresses)")
	s.StringVar(&c.Seal, "seal", c.Seal, "`WHO` holds the keys")
	s.StringVar(&f.store, "store", c.Store, "`WHERE` records lie")
	s.IntVar(&c.Tries, "tries", c.Tries, "wrong tries in a row before a key is destroyed")
	s.StringVar(&f.waits, "waits", "", "`LIST` of waits after wrong tries, or none (default: 0,0,0,1m,5m,30m,2h,8h,24h)")
	s.StringVar(&f.register, "register", "", "`WHO` may make a record: open, invite, oidc:ISSUER (default: open, but invite where hardware has room for few keys)")
	s.StringVar(&c.OIDC.ClientID, "client-id", "", "`ID` of Coffer at the issuer")
	s.StringVar(&f.second, "second", "", "`SIGNER` who must sign bundles too, as 'bundle --new-signer' prints it")
	s.StringVar(&f.recovery, "recovery", "", "write the recovery key of a vault on a TPM to `FILE`, which belongs elsewhere")
	s.BoolVar(&f.noRecovery, "no-recovery", false, "with the TPM the vault may be lost")
	s.BoolVar(&f.accept, "accept-no-destruction", false, "destroyed keys may survive in the log of the cluster (soft on etcd)")
	s.StringVar(&c.TLS.Certificate, "tls-cert", "", "show the certificate in `FILE` (PEM) and not one of the vault's own")
	s.StringVar(&c.TLS.Key, "tls-key", "", "its key: `FILE`")
	s.BoolVar(&c.TLS.Pinned, "tls-pinned", false, "clients know that certificate by its key")
	s.BoolVar(&c.Front.Behind, "behind-front", false, "a proxy ends TLS; listen in clear, on "+frontListen+" unless --listen says otherwise")
	s.StringArrayVar(&c.Front.Networks, "front-network", nil, "believe X-Forwarded-For from `NETWORK`")
	s.StringArrayVar(&c.Front.Pins, "front-pin", nil, "`SHA256` of the front's key, when its certificate is none of the web's")
	s.StringVar(&c.Metrics.Listen, "metrics", "", "Prometheus may ask on `ADDRESS:PORT`")
	s.Uint32Var(&c.TPM.Index, "tpm-index", 0, "where the vault's indices in the TPM begin")
	s.StringVar(&c.TPM.OwnerAuthFile, "tpm-owner-auth-file", "", "password of the TPM's owner: `FILE`")
	f.addCluster(cmd)
	f.qr.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("recovery", "no-recovery")
}

func (f *initFlags) addCluster(cmd *cobra.Command) {
	e, s := &f.config.Etcd, cmd.Flags()
	s.StringVar(&e.Prefix, "etcd-prefix", "", "`TEXT` before all keys of this vault in the cluster")
	s.StringVar(&e.CA, "etcd-ca", "", "who has signed the cluster's certificates: `FILE`")
	s.StringVar(&e.Certificate, "etcd-cert", "", "the vault's certificate for the cluster: `FILE`")
	s.StringVar(&e.Key, "etcd-key", "", "its key: `FILE`")
	s.StringVar(&e.Username, "etcd-user", "", "sign in at the cluster as `NAME`")
	s.StringVar(&e.PasswordFile, "etcd-password-file", "", "with the password in `FILE`")
	m := &e.Member
	s.StringVar(&m.Name, "member", "", "`NAME` of the member in this vault")
	s.StringVar(&m.ListenPeer, "member-peer", "", "`URL` at which other members reach it")
	s.StringVar(&m.ListenClient, "member-client", "", "`URL` at which vaults reach it")
	s.StringVar(&m.Cluster, "member-cluster", "", "all members: `NAME=URL,...`")
	s.StringVar(&m.CA, "member-ca", "", "who has signed the members' certificates: `FILE`")
	s.StringVar(&m.Certificate, "member-cert", "", "this member's: `FILE`")
	s.StringVar(&m.Key, "member-key", "", "its key: `FILE`")
}

// resolve puts the flags into the configuration.
func (f *initFlags) resolve() error {
	c := &f.config
	kind, rest, more := strings.Cut(f.store, ":")
	c.Store = kind
	if kind == node.StoreEtcd && more {
		c.Etcd.Endpoints = strings.Split(rest, ",")
	} else if more {
		return usage("The value of --store is not known.", "It is bolt, etcd:URL,URL,... or etcd-embedded.")
	}
	if kind, issuer, ok := strings.Cut(f.register, ":"); ok {
		f.register, c.OIDC.Issuer = kind, issuer
	}
	if c.Register = f.register; c.Register == "" {
		c.Register = c.DefaultRegister()
	}
	if err := f.resolveWaits(); err != nil {
		return err
	}
	if c.Addresses = f.address; len(c.Addresses) == 0 {
		guess, err := node.GuessAddress()
		if err != nil {
			return usage("This computer does not know by which name others reach it.", "Say it: --address HOST:PORT.")
		}
		c.Addresses = []string{guess}
	}
	if c.Front.Behind && len(c.Listen) == 0 {
		c.Listen = []string{frontListen}
	}
	if err := f.checkGiven(); err != nil {
		return err
	}
	if err := f.absolute(); err != nil {
		return err
	}
	if c.Name == "" {
		i := strings.LastIndexByte(c.Addresses[0], ':')
		c.Name = c.Addresses[0][:max(i, 0)]
	}
	if strings.HasPrefix(c.Seal, "tpm") && f.recovery == "" && !f.noRecovery {
		return usage("A vault on a TPM is lost with that TPM, unless there is a recovery key.",
			"Say where it is written to, away from this computer: --recovery FILE. Or do without: --no-recovery.")
	}
	return nil
}

// checkGiven refuses flags that would do nothing. Who describes a member and forgets
// --store would have a vault on one computer, for ever.
func (f *initFlags) checkGiven() error {
	c := &f.config
	for _, name := range f.given {
		switch {
		case strings.HasPrefix(name, "member") && c.Store != node.StoreEmbedded:
			return usage(fmt.Sprintf("--%s is only for --store etcd-embedded.", name), "")
		case strings.HasPrefix(name, "etcd-") && c.Store == node.StoreBolt:
			return usage(fmt.Sprintf("--%s is only for --store etcd:URL,... or etcd-embedded.", name), "")
		case strings.HasPrefix(name, "tpm-") && !strings.HasPrefix(c.Seal, "tpm"):
			return usage(fmt.Sprintf("--%s is only for --seal tpm or tpm-epochs.", name), "")
		}
	}
	return nil
}

// absolute makes the paths that were typed begin where they were typed. In vault.toml they
// would begin at the vault's folder, where vault.key is the vault's own.
func (f *initFlags) absolute() error {
	c := &f.config
	m := &c.Etcd.Member
	return absolute(
		&c.TLS.Certificate, &c.TLS.Key, &c.TPM.OwnerAuthFile, &c.Etcd.CA, &c.Etcd.Certificate, &c.Etcd.Key,
		&c.Etcd.PasswordFile, &m.CA, &m.Certificate, &m.Key,
	)
}

func absolute(paths ...*string) error {
	for _, path := range paths {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find %q: %w", *path, err)
		}
		*path = abs
	}
	return nil
}

func (f *initFlags) resolveWaits() error {
	switch f.waits {
	case "":
		return nil
	case "none":
		f.config.Waits = nil
		return nil
	}
	f.config.Waits = nil
	for _, text := range strings.Split(f.waits, ",") {
		d, err := time.ParseDuration(text)
		if err != nil {
			return usage("The value of --waits is not a list of times.", "It is like 0,0,0,1m,5m,2h, or none.")
		}
		f.config.Waits = append(f.config.Waits, node.Duration(d))
	}
	return nil
}

func (p *program) init(ctx context.Context, f *initFlags) error {
	if err := f.resolve(); err != nil {
		return err
	}
	dir, err := p.ownDir()
	if err != nil {
		return err
	}
	o := node.InitOptions{Dir: dir, Config: f.config, Recovery: f.recovery, AcceptNoDestruction: f.accept}
	if f.second != "" {
		if o.Second, err = node.ParseSigner(f.second); err != nil {
			return usage("The value of --second is no signer.", "It is what 'coffer-vault bundle --new-signer FILE' prints.")
		}
	}
	made, err := node.Init(ctx, o, p.options())
	if err != nil {
		return err
	}
	p.sayMade(dir, f, made)
	if err := f.qr.show(p.stderr, made.Link); err != nil {
		return err
	}
	err = p.record("summary", struct {
		Link        string `json:"link"`
		Fingerprint string `json:"fingerprint"`
		Vault       string `json:"vault"`
		Root        string `json:"root_key"`
		Staged      string `json:"staged,omitempty"` // the second signer must sign this
	}{made.Link, made.Fingerprint, hex.EncodeToString(made.Vault[:]), made.Root, made.Staged})
	if err != nil {
		return err
	}
	return p.result("%s", made.Link)
}

func (p *program) sayMade(dir string, f *initFlags, made node.Made) {
	p.note("The vault is made, in %q. Its link, for Coffer, is on standard output.", dir)
	p.note("Fingerprint, to be compared by telephone: %s", made.Fingerprint)
	p.note("%q signs what the vault says about itself. For more than a home, move it away from this computer, and keep it.", made.Root)
	if f.recovery != "" {
		p.note("The recovery key is in %q. Keep it away from this computer.", f.recovery)
	}
	if f.config.Seal == "soft" {
		p.note("This is a software vault: its keys are a file. Whoever copies the folder, and has somebody's backup files, can guess the password without limit.")
	}
	if f.accept && f.config.Store != node.StoreBolt {
		p.note("Destroyed keys survive in the log of the cluster until it is purged: you have accepted that.")
	}
	switch f.config.Register {
	case "open":
		p.note("Everybody who reaches it may make a record (--register).")
	case "invite":
		p.note("Who is to make a record needs an invitation: coffer-vault invite --data %q", dir)
	}
	if c := f.config.OIDC; c.Issuer != "" {
		p.note("Who can sign in at %q may make records.", c.Issuer)
	}
	if made.Staged != "" {
		p.note("Before it can serve, the second signer must sign %q:", made.Staged)
		p.note("  coffer-vault bundle --sign-with SECOND.key --link LINK < bundle.next > bundle.signed")
		p.note("  coffer-vault bundle --data %q --install bundle.signed", dir)
		return
	}
	p.note("Run it: coffer-vault serve --data %q", dir)
}

// days writes a number of days.
func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}
