package repo

import (
	"encoding/binary"

	"coffer/crypto"
)

// A Head says which ways in a repository has (docs/format.md, section 9). Its
// fields are readable without a key; Verify tells whether they are true.
type Head struct {
	Name       Name // of the stored object
	Repository crypto.RepositoryID
	Generation uint64
	MadeAt     int64 // of the repository, seconds since 1970
	Computer   string
	OS         string
	Vault      *VaultSlot
	Passphrase *PassphraseSlot

	stored []byte
}

// A VaultSlot is the way in by a password and a vault.
type VaultSlot struct {
	Link       string
	Also       string // other addresses of a vault on a network; empty: none
	VaultID    [16]byte
	ServerKey  [33]byte
	Computer   string // that the vault is on, where it is embedded; else who runs it
	Record     [16]byte
	Generation uint64
	CloudShare [32]byte
	MemoryKiB  uint32
	Time       uint32
	Threads    uint8
	Tries      int
	SetAt      int64 // seconds since 1970
	ReceiptKey [32]byte
	Guard      [33]byte // where the vault's hardware counts; zero: there is none
}

// A PassphraseSlot is the way in by a passphrase without a vault.
type PassphraseSlot struct {
	crypto.PassphraseSlot
	SetAt int64 // seconds since 1970
}

const wrappedSize = 32 + 32 + 32 + 16

func (h *Head) public() []byte {
	m := newMap(nil)
	m.uint(1, h.Generation)
	m.uint(2, uint64(h.MadeAt))
	m.text(3, h.Computer)
	m.text(4, h.OS)
	if v := h.Vault; v != nil {
		m.key(5)
		m.b = v.append(m.b)
	}
	if p := h.Passphrase; p != nil {
		m.key(6)
		m.b = p.append(m.b)
	}
	return m.end()
}

func (v *VaultSlot) append(b []byte) []byte {
	m := newMap(b)
	m.text(1, v.Link)
	m.bytes(2, string(v.VaultID[:]))
	m.bytes(3, string(v.ServerKey[:]))
	m.text(4, v.Computer)
	m.bytes(5, string(v.Record[:]))
	m.uint(6, v.Generation)
	m.bytes(7, string(v.CloudShare[:]))
	m.uint(8, uint64(v.MemoryKiB))
	m.uint(9, uint64(v.Time))
	m.uint(10, uint64(v.Threads))
	m.uint(11, uint64(v.Tries))
	m.uint(12, uint64(v.SetAt))
	m.bytes(13, string(v.ReceiptKey[:]))
	if v.Guard != [33]byte{} {
		m.bytes(14, string(v.Guard[:]))
	}
	if v.Also != "" {
		m.text(15, v.Also)
	}
	return m.end()
}

func (p *PassphraseSlot) append(b []byte) []byte {
	m := newMap(b)
	m.uint(1, uint64(p.MemoryKiB))
	m.uint(2, uint64(p.Time))
	m.uint(3, uint64(p.Threads))
	m.bytes(4, string(p.Salt[:]))
	m.bytes(5, string(p.Wrapped))
	m.uint(6, uint64(p.SetAt))
	return m.end()
}

// sealHead returns the stored bytes of a head.
func sealHead(keys *crypto.Keys, h *Head) []byte {
	public := h.public()
	extra := append(binary.BigEndian.AppendUint32(nil, uint32(len(public))), public...)
	sealer := keys.NewSealer(crypto.KindHead)
	header := sealer.Header()
	return sealer.Seal(append(header[:], extra...), nil, crypto.Frame{Type: frameHead}, extra)
}

// parseHead reads a stored head without any key.
func parseHead(stored []byte) (*Head, error) {
	const least = crypto.HeaderSize + 4 + crypto.FrameOverhead
	if len(stored) > maxHead || len(stored) < least {
		return nil, errFormat
	}
	kind, id, err := crypto.HeaderInfo(stored[:crypto.HeaderSize])
	if err != nil {
		return nil, err
	}
	public := stored[crypto.HeaderSize+4 : len(stored)-crypto.FrameOverhead]
	if kind != crypto.KindHead || int(binary.BigEndian.Uint32(stored[crypto.HeaderSize:])) != len(public) {
		return nil, errFormat
	}
	h := &Head{Repository: id, stored: stored}
	d := decoder{b: public}
	seen := d.fields(func(key uint64) bool {
		switch key {
		case 1:
			h.Generation = d.optUint(1<<63 - 1)
		case 2:
			h.MadeAt = d.size()
		case 3:
			h.Computer = d.text(snapText)
		case 4:
			h.OS = d.text(snapText)
		case 5:
			h.Vault = d.vaultSlot()
		case 6:
			h.Passphrase = d.passphraseSlot()
		default:
			return false
		}
		return true
	})
	if err := d.done(); err != nil || seen&keyMask(1, 2, 3, 4) != keyMask(1, 2, 3, 4) {
		return nil, errFormat
	}
	return h, nil
}

func (d *decoder) vaultSlot() *VaultSlot {
	v := new(VaultSlot)
	seen := d.fields(func(key uint64) bool {
		switch key {
		case 1:
			v.Link = d.text(snapText)
		case 2:
			d.exact(v.VaultID[:])
		case 3:
			d.exact(v.ServerKey[:])
		case 4:
			v.Computer = d.text(snapText)
		case 5:
			d.exact(v.Record[:])
		case 6:
			v.Generation = d.uint(1<<63 - 1)
		case 7:
			d.exact(v.CloudShare[:])
		case 8:
			v.MemoryKiB = uint32(d.uint(1<<32 - 1))
		case 9:
			v.Time = uint32(d.uint(1<<32 - 1))
		case 10:
			v.Threads = uint8(d.uint(255))
		case 11:
			v.Tries = int(d.uint(1 << 16))
		case 12:
			v.SetAt = d.size()
		case 13:
			d.exact(v.ReceiptKey[:])
		case 14:
			d.exact(v.Guard[:])
			if v.Guard == [33]byte{} {
				d.fail() // is written by leaving it out
			}
		case 15:
			if v.Also = d.text(snapText); v.Also == "" {
				d.fail()
			}
		default:
			return false
		}
		return true
	})
	d.need(seen&^keyMask(14, 15), 13)
	return v
}

func (d *decoder) passphraseSlot() *PassphraseSlot {
	p := new(PassphraseSlot)
	seen := d.fields(func(key uint64) bool {
		switch key {
		case 1:
			p.MemoryKiB = uint32(d.uint(1<<32 - 1))
		case 2:
			p.Time = uint32(d.uint(1<<32 - 1))
		case 3:
			p.Threads = uint8(d.uint(255))
		case 4:
			d.exact(p.Salt[:])
		case 5:
			p.Wrapped = make([]byte, wrappedSize)
			d.exact(p.Wrapped)
		case 6:
			p.SetAt = d.size()
		default:
			return false
		}
		return true
	})
	d.need(seen, 6)
	return p
}

// need fails unless all keys from 1 to n were seen.
func (d *decoder) need(seen uint64, n int) {
	if seen != 1<<(n+1)-2 {
		d.fail()
	}
}

// Verify reports whether the head was made by a holder of the root key:
// crypto.ErrOtherRepository or ErrForged when not.
func (h Head) Verify(keys *crypto.Keys) error {
	if h.Repository != keys.Repository() {
		return crypto.ErrOtherRepository
	}
	opener, err := keys.NewOpener(crypto.KindHead, h.stored[:crypto.HeaderSize])
	if err != nil {
		return ErrForged
	}
	check := len(h.stored) - crypto.FrameOverhead
	extra := h.stored[crypto.HeaderSize:check]
	plain, err := opener.Open(nil, h.stored[check:], crypto.Frame{Type: frameHead}, extra)
	if err != nil || len(plain) != 0 {
		return ErrForged
	}
	return nil
}
