package trust

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"coffer/vault/protocol"
)

// firstLine begins the text of each bundle and says its version.
const firstLine = "coffer-vault bundle 1"

// none stands for an empty list or an empty value: a line is never without a value.
const none = "-"

// text is the one spelling of a bundle (docs/vault-protocol.md, "Bundle"). Keys and other
// bytes are in hexadecimal, times in UTC as RFC 3339 writes them, waits in milliseconds.
func (b Bundle) text() []byte {
	var waits []string
	for _, w := range b.Waits {
		waits = append(waits, strconv.FormatInt(w.Milliseconds(), 10))
	}
	var pins []string
	for _, p := range b.TLSPins {
		pins = append(pins, hex.EncodeToString(p[:]))
	}
	lines := []string{
		firstLine,
		"vault " + hex.EncodeToString(b.VaultID[:]),
		"name " + b.Name,
		"addresses " + orNone(b.Addresses...),
		"server-key " + hex.EncodeToString(b.ServerKey[:]),
		"receipt-key " + hex.EncodeToString(b.ReceiptKey[:]),
		"hpke-key " + hex.EncodeToString(b.HPKEKey),
		"tls-pins " + orNone(pins...),
		"tries " + strconv.Itoa(b.Tries),
		"waits " + orNone(waits...),
		fmt.Sprintf("floor %d %d %d", b.Floor.MemoryKiB, b.Floor.Time, b.Floor.Threads),
		"sealer " + b.Sealer,
		"attestation-key " + orNone(hex.EncodeToString(b.AttestationKey)),
		"store " + b.Store,
		"register " + b.Register,
		"issuer " + orNone(b.Issuer),
		"client-id " + orNone(b.ClientID),
		"incarnation " + strconv.FormatUint(b.Incarnation, 10),
		"sequence " + strconv.FormatUint(b.Sequence, 10),
		"issued " + b.Issued.Format(time.RFC3339),
		"expires " + b.Expires.Format(time.RFC3339),
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

func orNone(values ...string) string {
	if s := strings.Join(values, " "); s != "" {
		return s
	}
	return none
}

// A reader takes one line after the other. After the first that is not as it should be,
// it gives nothing but zero values, and err says which it was.
type reader struct {
	rest string
	err  error
}

// value returns the value of the next line, which must have this key.
func (r *reader) value(key string) string {
	line, rest, ok := strings.Cut(r.rest, "\n")
	value, has := strings.CutPrefix(line, key+" ")
	if r.err == nil && (!ok || !has || value == "") {
		r.err = fmt.Errorf("the line %s is missing: %w", key, ErrBundle)
	}
	if r.err != nil {
		return ""
	}
	r.rest = rest
	return value
}

// optional is value, and nothing for a dash.
func (r *reader) optional(key string) string {
	if v := r.value(key); v != none {
		return v
	}
	return ""
}

// list is the values of a line; nothing for a dash.
func (r *reader) list(key string) []string {
	if v := r.optional(key); v != "" {
		return strings.Split(v, " ")
	}
	return nil
}

// fail remembers the first line that was wrong.
func (r *reader) fail(key string) {
	if r.err == nil {
		r.err = fmt.Errorf("the line %s is malformed: %w", key, ErrBundle)
	}
}

func (r *reader) number(key, digits string, bits int) uint64 {
	n, err := strconv.ParseUint(digits, 10, bits)
	if err != nil {
		r.fail(key)
	}
	return n
}

func (r *reader) time(key string) time.Time {
	t, err := time.Parse(time.RFC3339, r.value(key))
	if err != nil {
		r.fail(key)
		return time.Time{}
	}
	return t.UTC()
}

// bytes reads hexadecimal of exactly len(dst) bytes.
func (r *reader) bytes(key, digits string, dst []byte) {
	if len(digits) != 2*len(dst) {
		r.fail(key)
		return
	}
	if _, err := hex.Decode(dst, []byte(digits)); err != nil {
		r.fail(key)
	}
}

// readBundle reads the lines. Whether the values are good, and spelled as they should be,
// is the caller's to see.
func readBundle(text string) (Bundle, error) {
	rest, ok := strings.CutPrefix(text, firstLine+"\n")
	if !ok {
		return Bundle{}, fmt.Errorf("not a bundle of version 1: %w", ErrBundle)
	}
	r := &reader{rest: rest}
	var b Bundle
	r.bytes("vault", r.value("vault"), b.VaultID[:])
	b.Name = r.value("name")
	b.Addresses = r.list("addresses")
	r.bytes("server-key", r.value("server-key"), b.ServerKey[:])
	r.bytes("receipt-key", r.value("receipt-key"), b.ReceiptKey[:])
	b.HPKEKey = make([]byte, HPKEKeySize)
	r.bytes("hpke-key", r.value("hpke-key"), b.HPKEKey)
	for _, digits := range r.list("tls-pins") {
		var pin [32]byte
		r.bytes("tls-pins", digits, pin[:])
		b.TLSPins = append(b.TLSPins, pin)
	}
	b.Tries = int(r.number("tries", r.value("tries"), 16))
	for _, digits := range r.list("waits") {
		ms := r.number("waits", digits, 40) // 40 bits of milliseconds fit a Duration
		b.Waits = append(b.Waits, time.Duration(ms)*time.Millisecond)
	}
	b.Floor = r.cost("floor")
	b.Sealer = r.value("sealer")
	if digits := r.optional("attestation-key"); digits != "" {
		b.AttestationKey = make([]byte, len(digits)/2)
		r.bytes("attestation-key", digits, b.AttestationKey)
	}
	b.Store = r.value("store")
	b.Register = r.value("register")
	b.Issuer = r.optional("issuer")
	b.ClientID = r.optional("client-id")
	b.Incarnation = r.number("incarnation", r.value("incarnation"), 64)
	b.Sequence = r.number("sequence", r.value("sequence"), 64)
	b.Issued = r.time("issued")
	b.Expires = r.time("expires")
	if r.err == nil && r.rest != "" {
		r.err = fmt.Errorf("there is more after the last line: %w", ErrBundle)
	}
	return b, r.err
}

func (r *reader) cost(key string) protocol.Cost {
	parts := r.list(key)
	if len(parts) != 3 {
		r.fail(key)
		return protocol.Cost{}
	}
	return protocol.Cost{
		MemoryKiB: uint32(r.number(key, parts[0], 32)),
		Time:      uint32(r.number(key, parts[1], 32)),
		Threads:   uint8(r.number(key, parts[2], 8)),
	}
}
