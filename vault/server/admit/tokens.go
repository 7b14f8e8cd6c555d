package admit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"coffer/crypto/aead"
	"coffer/vault/protocol"
)

// Labels (docs/vault-protocol.md, "Who may register"). None is a prefix of another.
const (
	labelInvitation = "coffer-vault/1/invitation"
	labelTicket     = "coffer-vault/1/ticket"
	labelAdmission  = "coffer-vault/1/admission"
)

// Sizes, in bytes. An invitation is random bytes, expiry and MAC; a ticket expiry and MAC.
const (
	invitationRandom = 12
	invitationID     = invitationRandom + 4
	invitationSize   = invitationID + 16
	ticketExpiry     = 8
)

// mac is HMAC-SHA-256 (RFC 2104) under the admission key over label, a zero byte, the parts.
func (d *Desk) mac(label string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, d.cfg.Key[:])
	h.Write([]byte(label + "\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Invite makes an invitation that is good for life from now: base64url without padding, 43
// characters. Nothing is stored. [ErrConfig] unless the desk takes invitations and life is
// at least a second and at most [MaxInvitation].
func (d *Desk) Invite(life time.Duration) (token string, err error) {
	if d.cfg.Mode != ModeInvite {
		return "", fmt.Errorf("invite: mode %q: %w", d.cfg.Mode, ErrConfig)
	}
	expiry := d.cfg.Clock().Add(life).Unix()
	if life < time.Second || life > MaxInvitation || expiry < 0 || expiry > math.MaxUint32 {
		return "", fmt.Errorf("invite for %v: %w", life, ErrConfig)
	}
	id := binary.BigEndian.AppendUint32(aead.Random(invitationRandom), uint32(expiry))
	return base64.RawURLEncoding.EncodeToString(append(id, d.invitationMAC(id)...)), nil
}

func (d *Desk) invitationMAC(id []byte) []byte {
	return d.mac(labelInvitation, d.cfg.VaultID[:], id)[:invitationSize-invitationID]
}

// openInvitation returns what names an invitation: its random bytes and its expiry. Nothing
// is looked up before the MAC is right, so that guessing costs the store nothing.
// [protocol.ErrInvitation].
func (d *Desk) openInvitation(token []byte) (id [invitationID]byte, err error) {
	// Strict: no two spellings of one invitation.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(token))
	if err != nil || len(raw) != invitationSize || len(token) != base64.RawURLEncoding.EncodedLen(invitationSize) {
		return id, fmt.Errorf("read invitation: %w", protocol.ErrInvitation)
	}
	copy(id[:], raw)
	if !hmac.Equal(raw[invitationID:], d.invitationMAC(id[:])) {
		return id, fmt.Errorf("check invitation: %w", protocol.ErrInvitation)
	}
	if d.cfg.Clock().Unix() >= int64(binary.BigEndian.Uint32(id[invitationRandom:])) {
		return id, fmt.Errorf("invitation has expired: %w", protocol.ErrInvitation)
	}
	return id, nil
}

// ticket makes the ticket that lets record in until then.
func (d *Desk) ticket(record [16]byte, until time.Time) (t [protocol.TicketSize]byte) {
	binary.BigEndian.PutUint64(t[:], uint64(until.Unix()))
	copy(t[ticketExpiry:], d.mac(labelTicket, d.cfg.VaultID[:], record[:], t[:ticketExpiry]))
	return t
}

func (d *Desk) isTicket(record [16]byte, t [protocol.TicketSize]byte) bool {
	want := d.mac(labelTicket, d.cfg.VaultID[:], record[:], t[:ticketExpiry])[:len(t)-ticketExpiry]
	if !hmac.Equal(want, t[ticketExpiry:]) {
		return false
	}
	return uint64(d.cfg.Clock().Unix()) < binary.BigEndian.Uint64(t[:])
}
