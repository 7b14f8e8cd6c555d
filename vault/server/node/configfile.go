package node

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// encode writes vault.toml, with a line on each setting for who opens it in an editor.
func (c Config) encode() []byte {
	var b strings.Builder
	line := func(comment, key, value string) {
		if comment != "" {
			fmt.Fprintf(&b, "\n# %s\n", comment)
		}
		fmt.Fprintf(&b, "%s = %s\n", key, value)
	}
	b.WriteString("# A Backup Key Vault. Changes take effect when the vault starts again. See docs/self-hosting.md.\n")
	line("Who runs it, for people.", "name", quote(c.Name))
	line("By which others reach it. The first one is in the link.", "addresses", quoteAll(c.Addresses))
	line("Where it listens. None: the ports above, on all interfaces.", "listen", quoteAll(c.Listen))
	line("Fixed when the vault was made.", "seal", quote(c.Seal))
	line("", "store", quote(c.Store))
	line("The most wrong tries in a row; then a key is destroyed. May be lowered, and never raised above what the vault was made with.", "tries", strconv.Itoa(c.Tries))
	line("The wait after the first wrong try, the second, ...; past the end the last one goes on.", "waits", c.waitsText())
	line("Who may make a record: open, invite, oidc.", "register", quote(c.Register))
	if c.Second != "" {
		line("Who must sign bundles too.", "second", quote(c.Second))
	}
	c.encodeTables(&b)
	return []byte(b.String())
}

func (c Config) encodeTables(b *strings.Builder) {
	if c.OIDC != (OIDC{}) {
		fmt.Fprintf(b, "\n[oidc]\nissuer = %s\nclient_id = %s\n", quote(c.OIDC.Issuer), quote(c.OIDC.ClientID))
	}
	fmt.Fprintf(b, "\n# A certificate from elsewhere, in PEM. None: the vault makes its own, and clients know it by the bundle.\n")
	fmt.Fprintf(b, "[tls]\ncertificate = %s\nkey = %s\npinned = %t\n", quote(c.TLS.Certificate), quote(c.TLS.Key), c.TLS.Pinned)
	fmt.Fprintf(b, "\n# behind: a proxy ends TLS, and this vault listens in clear (on loopback, when nothing else is said).\n"+
		"# networks: whose X-Forwarded-For is believed; none: loopback. pins: keys of the proxy's certificates.\n"+
		"[front]\nbehind = %t\nnetworks = %s\npins = %s\n", c.Front.Behind, quoteAll(c.Front.Networks), quoteAll(c.Front.Pins))
	fmt.Fprintf(b, "\n# Prometheus, in clear: ADDRESS:PORT, or nothing.\n[metrics]\nlisten = %s\n", quote(c.Metrics.Listen))
	fmt.Fprintf(b, "\n# level: debug, info, warn, error. addresses: whether those of clients are written down.\n"+
		"[log]\nlevel = %s\naddresses = %t\n", quote(c.Log.Level), c.Log.Addresses)
	fmt.Fprintf(b, "\n# 0: as documented in docs/vault-protocol.md.\n[limits]\nconnections = %d\nconnections_per_address = %d\nburst = %d\nper_minute = %d\nrecord_burst = %d\nrecord_per_minute = %d\n",
		c.Limits.Connections, c.Limits.ConnectionsPerAddress, c.Limits.Burst, c.Limits.PerMinute, c.Limits.RecordBurst, c.Limits.RecordPerMinute)
	if c.Store != StoreBolt {
		c.encodeEtcd(b)
	}
	if s, err := parseSeal(c.Seal); err == nil && s.isTPM() {
		fmt.Fprintf(b, "\n# index: of the counter in the chip; 0: the first one. owner_auth_file: the password of the chip's owner.\n"+
			"[tpm]\nindex = %d\nowner_auth_file = %s\n", c.TPM.Index, quote(c.TPM.OwnerAuthFile))
	}
}

func (c Config) encodeEtcd(b *strings.Builder) {
	e, m := c.Etcd, c.Etcd.Member
	fmt.Fprintf(b, "\n# The cluster. Without TLS only on loopback.\n[etcd]\nendpoints = %s\nprefix = %s\nca = %s\ncertificate = %s\nkey = %s\nusername = %s\npassword_file = %s\n",
		quoteAll(e.Endpoints), quote(e.Prefix), quote(e.CA), quote(e.Certificate), quote(e.Key), quote(e.Username), quote(e.PasswordFile))
	if c.Store != StoreEmbedded {
		return
	}
	fmt.Fprintf(b, "\n# The member that runs in this vault. cluster: NAME=URL,NAME=URL,... of all members. join: the cluster exists already.\n"+
		"[etcd.member]\nname = %s\nlisten_peer = %s\nadvertise_peer = %s\nlisten_client = %s\nadvertise_client = %s\ncluster = %s\njoin = %t\nca = %s\ncertificate = %s\nkey = %s\n",
		quote(m.Name), quote(m.ListenPeer), quote(m.AdvertisePeer), quote(m.ListenClient), quote(m.AdvertiseClient), quote(m.Cluster), m.Join,
		quote(m.CA), quote(m.Certificate), quote(m.Key))
}

func (c Config) waitsText() string {
	all := make([]string, 0, len(c.Waits))
	for _, w := range c.Waits {
		all = append(all, quote(w.String()))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// quote writes a basic string of TOML. What is not ASCII is escaped with \u or \U, which
// Go and TOML write alike; the control characters that Go writes as \x are refused by
// Config.check or come back as \u00XX here.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func quoteAll(all []string) string {
	quoted := make([]string, 0, len(all))
	for _, s := range all {
		quoted = append(quoted, quote(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func (c Config) level() (slog.Level, error) {
	var l slog.Level
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
		_ = l.UnmarshalText([]byte(c.Log.Level)) // one of its own words
		return l, nil
	}
	return 0, wrong("log.level", "%q is none of debug, info, warn, error", c.Log.Level)
}
