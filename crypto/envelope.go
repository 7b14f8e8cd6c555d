package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"coffer/crypto/aead"
)

// HeaderSize is the length of the header that each sealed object begins with, in bytes.
const HeaderSize = 96

// FrameOverhead is how much longer a sealed frame is than its plaintext, in bytes.
const FrameOverhead = 16

var (
	// ErrNotCoffer says that the bytes are not the header of a Coffer object.
	ErrNotCoffer = errors.New("crypto: not a Coffer object")
	// ErrNewerFormat says that a newer Coffer wrote the object.
	ErrNewerFormat = errors.New("crypto: the object has a newer format")
	// ErrOtherRepository says that the object or the key belongs to another repository.
	ErrOtherRepository = errors.New("crypto: it belongs to another repository")
	// ErrWrongKind says that the object is of another kind than was asked for.
	ErrWrongKind = errors.New("crypto: the object is of another kind")
	// ErrCommitment says that the object was not made under this key, although it claims
	// this repository: its header was changed, or it was made to deceive.
	ErrCommitment = errors.New("crypto: the object commits to another key")
)

// A Kind says what an object is. It is part of the object's key, so that an object of
// one kind can never pass as another.
type Kind byte

// The kinds of objects.
const (
	KindPack     Kind = 'p'
	KindIndex    Kind = 'i'
	KindSnapshot Kind = 's'
	KindHead     Kind = 'h'
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case KindPack:
		return "pack"
	case KindIndex:
		return "index"
	case KindSnapshot:
		return "snapshot"
	case KindHead:
		return "head"
	}
	return "unknown kind"
}

func (k Kind) known() bool {
	return k == KindPack || k == KindIndex || k == KindSnapshot || k == KindHead
}

// Where the fields of a header are (docs/format.md).
const (
	magic           = "COFFER"
	formatVersion   = 1
	suiteAES256GCM  = 1 // AES-256-GCM, HKDF-SHA-256, BLAKE3 chunk names
	versionAt       = 6
	suiteAt         = 7
	kindAt          = 8
	zeroAt          = 9
	repositoryAt    = 16
	headerSaltAt    = 32
	commitmentAt    = 64
	commitmentSize  = HeaderSize - commitmentAt
	frameNonceBytes = 12
)

// HeaderInfo reads a header without any key: what the object claims to be. header must
// have exactly [HeaderSize] bytes. [ErrNotCoffer], [ErrNewerFormat].
func HeaderInfo(header []byte) (kind Kind, id RepositoryID, err error) {
	if len(header) != HeaderSize || string(header[:versionAt]) != magic {
		return 0, RepositoryID{}, ErrNotCoffer
	}
	version, suite := header[versionAt], header[suiteAt]
	if version > formatVersion || version == formatVersion && suite > suiteAES256GCM {
		return 0, RepositoryID{}, ErrNewerFormat
	}
	kind = Kind(header[kindAt])
	if version != formatVersion || suite != suiteAES256GCM || !kind.known() {
		return 0, RepositoryID{}, ErrNotCoffer
	}
	if [repositoryAt - zeroAt]byte(header[zeroAt:repositoryAt]) != [repositoryAt - zeroAt]byte{} {
		return 0, RepositoryID{}, ErrNotCoffer
	}
	copy(id[:], header[repositoryAt:headerSaltAt])
	return kind, id, nil
}

// A Frame names a part of an object. The number of a frame is used once in its type.
type Frame struct {
	Type   uint32
	Number uint64
}

// nonce is unique under the object's key because the frame is, and the key is the
// object's own.
func (f Frame) nonce() [frameNonceBytes]byte {
	var n [frameNonceBytes]byte
	binary.BigEndian.PutUint32(n[:4], f.Type)
	binary.BigEndian.PutUint64(n[4:], f.Number)
	return n
}

// A Sealer seals the frames of one object under a key of its own. It is not for
// concurrent use. It prints as "[redacted]".
type Sealer struct {
	redact
	opener *Opener
	last   map[uint32]uint64 // the highest number sealed, by frame type
	ad     []byte            // header, and room for the extra associated data
}

// NewSealer returns a Sealer for a new object: salt, and so key, are fresh. It panics
// for a kind that is none.
func (k *Keys) NewSealer(kind Kind) *Sealer {
	return k.newSealer(kind, aead.Random(commitmentAt-headerSaltAt))
}

func (k *Keys) newSealer(kind Kind, salt []byte) *Sealer {
	if !kind.known() {
		panic("crypto: unknown kind of object")
	}
	o := &Opener{}
	copy(o.header[:], magic)
	o.header[versionAt] = formatVersion
	o.header[suiteAt] = suiteAES256GCM
	o.header[kindAt] = byte(kind)
	copy(o.header[repositoryAt:], k.repository[:])
	copy(o.header[headerSaltAt:], salt)
	gcm, commitment := k.object(kind, salt)
	copy(o.header[commitmentAt:], commitment)
	o.gcm = gcm
	return &Sealer{opener: o, last: map[uint32]uint64{}, ad: append([]byte(nil), o.header[:]...)}
}

// object derives the key of one object and the commitment to it.
func (k *Keys) object(kind Kind, salt []byte) (cipher.AEAD, []byte) {
	class := k.data
	if kind == KindHead {
		class = k.head
	}
	var material []byte
	use(class, func(key []byte) {
		material = hkdfKey(key, salt, labelObject+string([]byte{byte(kind)}), KeySize+commitmentSize)
	})
	defer clear(material[:KeySize])
	block, err := aes.NewCipher(material[:KeySize])
	if err != nil {
		panic("crypto: internal error: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("crypto: internal error: " + err.Error())
	}
	return gcm, material[KeySize:]
}

// Header returns the object's first bytes.
func (s *Sealer) Header() [HeaderSize]byte { return s.opener.header }

// Seal appends the sealed frame, [FrameOverhead] bytes longer than plaintext, to dst and
// returns the longer slice. Bound to it are the header, the frame and extra. To seal in
// place, dst is plaintext[:0]; otherwise the two must not overlap.
//
// It panics when the number was used in this frame type before, or is below one that was:
// with AES-GCM a nonce used twice gives away both plaintexts and the means to forge.
func (s *Sealer) Seal(dst, plaintext []byte, f Frame, extra []byte) []byte {
	if last, used := s.last[f.Type]; used && f.Number <= last {
		panic(fmt.Sprintf("crypto: frame %d of type %d sealed after frame %d", f.Number, f.Type, last))
	}
	s.last[f.Type] = f.Number
	s.ad = append(s.ad[:HeaderSize], extra...)
	nonce := f.nonce()
	return s.opener.gcm.Seal(dst, nonce[:], plaintext, s.ad)
}

// Opener returns an Opener of the same object, so that what was sealed can be opened and
// compared before it is sent: a computer with bad memory must not write backups.
func (s *Sealer) Opener() *Opener { return s.opener }

// An Opener opens the frames of one object. It is safe for concurrent use. It prints as
// "[redacted]".
type Opener struct {
	redact
	header [HeaderSize]byte
	gcm    cipher.AEAD
}

// NewOpener reads the header of an object and returns its Opener. It opens nothing yet,
// but from here on it is certain that the object was begun by a holder of the root key.
// [ErrNotCoffer], [ErrNewerFormat], [ErrWrongKind], [ErrOtherRepository], [ErrCommitment].
func (k *Keys) NewOpener(kind Kind, header []byte) (*Opener, error) {
	got, id, err := HeaderInfo(header)
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if id != k.repository {
		return nil, fmt.Errorf("read header: %w", ErrOtherRepository)
	}
	if got != kind {
		return nil, fmt.Errorf("read header of %v: %w", got, ErrWrongKind)
	}
	gcm, commitment := k.object(kind, header[headerSaltAt:commitmentAt])
	if subtle.ConstantTimeCompare(commitment, header[commitmentAt:]) != 1 {
		return nil, fmt.Errorf("read header of %v: %w", kind, ErrCommitment)
	}
	return &Opener{header: [HeaderSize]byte(header), gcm: gcm}, nil
}

// Open appends the plaintext of a sealed frame to dst and returns the longer slice, or
// [ErrDamaged]. Frame and extra must be those it was sealed with. To open in place, dst
// is sealed[:0]; otherwise the two must not overlap.
func (o *Opener) Open(dst, sealed []byte, f Frame, extra []byte) ([]byte, error) {
	ad := o.header[:]
	if len(extra) > 0 {
		ad = append(append(make([]byte, 0, HeaderSize+len(extra)), ad...), extra...)
	}
	nonce := f.nonce()
	plaintext, err := o.gcm.Open(dst, nonce[:], sealed, ad)
	if err != nil {
		return nil, fmt.Errorf("open frame %d of type %d: %w", f.Number, f.Type, ErrDamaged)
	}
	return plaintext, nil
}

// ObjectName returns the name under which stored bytes are kept: the kind, a hyphen and
// the first 40 hexadecimal digits of their SHA-256. Names come from what is stored, so a
// check of the place needs no key, and two objects never share one.
func ObjectName(kind string, stored []byte) string {
	sum := sha256.Sum256(stored)
	return kind + "-" + hex.EncodeToString(sum[:20])
}
