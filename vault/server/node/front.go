package node

import (
	"context"
	"fmt"
	"net"
	"time"

	"coffer/crypto/hpke"
	"coffer/vault/server/admit"
	"coffer/vault/server/gate"
)

// newGate builds what takes requests from the network.
func (n *Node) newGate(desk *admit.Desk, opts Options) (*gate.Gate, error) {
	fronts, err := n.config.fronts()
	if err != nil {
		return nil, err
	}
	l := n.config.Limits
	g, err := gate.New(gate.Config{
		VaultID: n.office.id.keys.ID, Server: n.server, Desk: desk, Ready: n.ready, Version: opts.Version,
		Keys:         func() []*hpke.PrivateKey { return n.live.Load().keys },
		Bundle:       func() []byte { return n.live.Load().signed },
		BundleState:  func() (uint64, time.Time) { l := n.live.Load(); return l.sequence, l.expires },
		Log:          n.log,
		LogAddresses: n.config.Log.Addresses,
		Fronts:       fronts,
		// Who has written another address than loopback into the configuration has said so.
		PlainAnywhere: len(n.config.Listen) > 0,
		Limits: gate.Limits{
			AddressBurst: l.Burst, AddressRate: float64(l.PerMinute) / 60,
			RecordBurst: l.RecordBurst, RecordRate: float64(l.RecordPerMinute) / 60,
			Connections: l.Connections, AddressConnections: l.ConnectionsPerAddress,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return g, nil
}

// serveGate answers on one listener: inside of TLS, or in clear behind a front.
func (n *Node) serveGate(ctx context.Context, l net.Listener) error {
	if n.config.Front.Behind {
		return n.gate.ServePlain(ctx, l)
	}
	return n.gate.Serve(ctx, l, n.serverTLS())
}
