package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"coffer/vault/protocol"
)

// Newer is the rule of succession: whether a client that knows one bundle may take the
// other, both verified. Vault id, server key and receipt key never change ([ErrBundle]):
// what would change them is another vault. Sequence and incarnation never fall
// ([ErrOlder]), and two bundles with one sequence are the same, byte for byte
// ([ErrBundle]): a root that has signed two of them tells some clients one thing and
// others another.
func Newer(known, offered Bundle) error {
	if known.VaultID != offered.VaultID || known.ServerKey != offered.ServerKey || known.ReceiptKey != offered.ReceiptKey {
		return fmt.Errorf("compare bundles: another vault, or other keys: %w", ErrBundle)
	}
	if offered.Sequence < known.Sequence {
		return fmt.Errorf("compare bundles: sequence %d after %d: %w", offered.Sequence, known.Sequence, ErrOlder)
	}
	if offered.Sequence == known.Sequence && !known.Equal(offered) {
		return fmt.Errorf("compare bundles: two with sequence %d: %w", offered.Sequence, ErrBundle)
	}
	if offered.Incarnation < known.Incarnation {
		return fmt.Errorf("compare bundles: incarnation %d after %d: %w", offered.Incarnation, known.Incarnation, ErrOlder)
	}
	return nil
}

// A ChangeKind says what a user should hear of, because it makes a vault weaker or is
// about whom they trust.
type ChangeKind string

// The kinds of changes. They are stable: the app has a sentence for each.
const (
	ChangeName        ChangeKind = "name"        // somebody else runs it, or calls it otherwise
	ChangeTries       ChangeKind = "tries"       // it allows more tries
	ChangeWaits       ChangeKind = "waits"       // a wait after a wrong try is shorter
	ChangeFloor       ChangeKind = "floor"       // it lets clients pay less for a guess
	ChangeSealer      ChangeKind = "sealer"      // its keys are held in a weaker way, or in another way that is no stronger
	ChangeAttestation ChangeKind = "attestation" // another TPM
	ChangeRestored    ChangeKind = "restored"    // it was restored from a copy: tries may have come back
)

// A Change is one difference, with both values as they can be shown in any language:
// a name, a number, a duration, a class.
type Change struct {
	Kind           ChangeKind
	Known, Offered string
}

// Changes returns what has become weaker, in the order of the kinds above; nothing for
// most bundles. It is for bundles that [Newer] takes: none of this is refused, since the
// root has signed it, and none of it should pass unseen.
func Changes(known, offered Bundle) []Change {
	var list []Change
	add := func(changed bool, kind ChangeKind, before, after string) {
		if changed {
			list = append(list, Change{kind, before, after})
		}
	}
	add(offered.Name != known.Name, ChangeName, known.Name, offered.Name)
	add(offered.Tries > known.Tries, ChangeTries, strconv.Itoa(known.Tries), strconv.Itoa(offered.Tries))
	before, after := shorterWait(known, offered)
	add(after < before, ChangeWaits, before.String(), after.String())
	add(isLower(known.Floor, offered.Floor), ChangeFloor, showCost(known.Floor), showCost(offered.Floor))
	add(isWeaker(known.Sealer, offered.Sealer), ChangeSealer, known.Sealer, offered.Sealer)
	add(len(known.AttestationKey) > 0 && !bytes.Equal(known.AttestationKey, offered.AttestationKey),
		ChangeAttestation, showKey(known.AttestationKey), showKey(offered.AttestationKey))
	add(offered.Incarnation > known.Incarnation, ChangeRestored,
		strconv.FormatUint(known.Incarnation, 10), strconv.FormatUint(offered.Incarnation, 10))
	return list
}

// shorterWait returns the first wait that is shorter in the offered bundle, before and
// after; twice zero when there is none. Past the end of a list its last wait goes on
// (docs/vault-protocol.md, "States").
func shorterWait(known, offered Bundle) (before, after time.Duration) {
	for k := range max(len(known.Waits), len(offered.Waits)) {
		before, after = waitAfter(known.Waits, k), waitAfter(offered.Waits, k)
		if after < before {
			return before, after
		}
	}
	return 0, 0
}

func waitAfter(waits []time.Duration, k int) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	return waits[min(k, len(waits)-1)]
}

func isLower(known, offered protocol.Cost) bool {
	return offered.MemoryKiB < known.MemoryKiB || offered.Time < known.Time || offered.Threads < known.Threads
}

// isWeaker compares classes of sealers. A token and a TPM with epochs each stop something
// that the other does not (keys that leave, old states that come back): a change between
// them is told.
func isWeaker(known, offered string) bool {
	strength := map[string]int{SealerSoftware: 0, SealerToken: 1, SealerTPMEpochs: 1, SealerTPM: 2}
	return known != offered && strength[offered] <= strength[known]
}

func showCost(c protocol.Cost) string {
	return fmt.Sprintf("%d MiB, %d, %d", c.MemoryKiB>>10, c.Time, c.Threads)
}

// showKey names a key by the beginning of its SHA-256; a dash for none.
func showKey(key []byte) string {
	if len(key) == 0 {
		return none
	}
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}
