package protocol

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Info is what a vault says about itself to everybody.
type Info struct {
	VaultID    [16]byte
	ServerKey  [PointSize]byte // OPAQUE public key of the vault
	ReceiptKey [32]byte        // Ed25519, signs receipts
	Computer   string          // of an embedded vault: the name of its computer
	Tries      int             // for a record made now
	Waits      []time.Duration // after the first wrong try, the second, ...; empty: none
	Sealer     string          // "software"
}

// SuiteName names the one cipher suite.
const SuiteName = "OPAQUE-3DH-P256-SHA256"

// maxComputer bounds the name of a computer, in bytes.
const maxComputer = 255

type infoBody struct {
	Version    int     `json:"version"`
	Suite      string  `json:"suite"`
	VaultID    string  `json:"vault"`
	ServerKey  string  `json:"server_key"`
	ReceiptKey string  `json:"receipt_key"`
	Computer   string  `json:"computer,omitempty"`
	Tries      int     `json:"tries"`
	Waits      []int64 `json:"waits_ms"`
	Sealer     string  `json:"sealer"`
}

// EncodeInfo returns the JSON form.
func EncodeInfo(i Info) []byte {
	body := infoBody{
		Version: Version, Suite: SuiteName,
		VaultID: hex.EncodeToString(i.VaultID[:]), ServerKey: hex.EncodeToString(i.ServerKey[:]),
		ReceiptKey: hex.EncodeToString(i.ReceiptKey[:]), Computer: i.Computer,
		Tries: i.Tries, Waits: []int64{}, Sealer: i.Sealer,
	}
	for _, w := range i.Waits {
		body.Waits = append(body.Waits, w.Milliseconds())
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic("protocol: internal error: " + err.Error())
	}
	return b
}

// ParseInfo reads the JSON form. Fields that it does not know are ignored, so that a
// newer vault can say more. [ErrMalformed].
func ParseInfo(b []byte) (Info, error) {
	var body infoBody
	if len(b) > MaxBody {
		return Info{}, fmt.Errorf("parse info: %w", ErrTooLarge)
	}
	if err := json.Unmarshal(b, &body); err != nil {
		return Info{}, fmt.Errorf("parse info: not JSON: %w", ErrMalformed)
	}
	if body.Version != Version || body.Suite != SuiteName {
		return Info{}, fmt.Errorf("parse info: another version or suite: %w", ErrMalformed)
	}
	i := Info{Computer: body.Computer, Tries: body.Tries, Sealer: body.Sealer}
	ok := unhex(i.VaultID[:], body.VaultID) && unhex(i.ServerKey[:], body.ServerKey) &&
		unhex(i.ReceiptKey[:], body.ReceiptKey) && Printable(body.Computer) && Printable(body.Sealer)
	if !ok || body.Tries < 1 || body.Tries > MaxTries || len(body.Waits) > MaxTries {
		return Info{}, fmt.Errorf("parse info: a field is out of bounds: %w", ErrMalformed)
	}
	for _, ms := range body.Waits {
		if ms < 0 || ms > MaxWait.Milliseconds() {
			return Info{}, fmt.Errorf("parse info: a wait is out of bounds: %w", ErrMalformed)
		}
		i.Waits = append(i.Waits, time.Duration(ms)*time.Millisecond)
	}
	return i, nil
}

func unhex(dst []byte, s string) bool {
	b, err := hex.DecodeString(s)
	if err != nil || hex.EncodeToString(b) != s {
		return false
	}
	return copy(dst, b) == len(dst) && len(b) == len(dst)
}

// Printable reports whether s is a name that may be shown: valid UTF-8, at most 255 bytes,
// no control characters, and nothing that turns the direction of writing round or breaks
// the line. It keeps escape codes of a hostile vault off the screen, and the sentence that
// a name stands in from saying something else.
func Printable(s string) bool {
	if len(s) > maxComputer || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		control := r < 0x20 || r >= 0x7f && r < 0xa0
		trick := r == 0x061c || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
		if control || trick {
			return false
		}
	}
	return true
}
