package opaque

import (
	"errors"

	"golang.org/x/crypto/argon2"
)

// A KSF is the key stretching function of RFC 9807, section 2.2: it turns the OPRF output
// into 32 bytes, slowly. It must be a function of its input alone.
type KSF func(input []byte) []byte

// ErrKSF says that the parameters of a key stretching function are out of bounds.
var ErrKSF = errors.New("opaque: the cost of the key stretching is out of bounds")

// The bounds of Argon2id: below the floor a guess is too cheap for who has stolen a
// vault; above the ceiling a hostile vault could exhaust the memory of its clients.
const (
	minMemoryKiB, maxMemoryKiB = 64 << 10, 1 << 20
	minTime, maxTime           = 3, 16
	minThreads, maxThreads     = 1, 16
)

// Argon2id returns Argon2id (RFC 9106) as RFC 9807, section 7, uses it: with a salt of 16
// zero bytes, because the OPRF key is the salt. Memory is 64 MiB (65,536) to 1 GiB, time
// 3 to 16 passes, threads 1 to 16 lanes; [ErrKSF] otherwise.
func Argon2id(memoryKiB, time uint32, threads uint8) (KSF, error) {
	if memoryKiB < minMemoryKiB || memoryKiB > maxMemoryKiB ||
		time < minTime || time > maxTime || threads < minThreads || threads > maxThreads {
		return nil, ErrKSF
	}
	return func(input []byte) []byte {
		return argon2.IDKey(input, make([]byte, 16), time, memoryKiB, threads, hashSize)
	}, nil
}
