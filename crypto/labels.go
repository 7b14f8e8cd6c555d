package crypto

// A label is the HKDF info that separates one use of a secret from all others. This is
// the whole table. A test insists that no label is a prefix of another, because some are
// followed by more bytes (a kind, a generation), and that none is written elsewhere.
//
// "1" is the format version: a key of one format is never a key of another.
const (
	// From the root key, without salt.
	labelData       = "coffer/1/data"       // 32 bytes: seals packs, indexes, snapshots
	labelChunkID    = "coffer/1/chunk-id"   // 32 bytes: key of the chunk names
	labelChunker    = "coffer/1/chunker"    // 2,064 bytes: where chunks are cut
	labelHead       = "coffer/1/head"       // 32 bytes: seals heads
	labelRepository = "coffer/1/repository" // 16 bytes: public name of the repository
	labelOwner      = "coffer/1/owner"      // 32 bytes: Ed25519 seed of the owner
	labelGuard      = "coffer/1/guard"      // 32 bytes: secret of the guards
	labelAnchor     = "coffer/1/anchor"     // 32 bytes: seals the anchor that a vault keeps
	labelLocal      = "coffer/1/local"      // 32 bytes: seals files of this computer
	labelPractice   = "coffer/1/practice"   // 32 bytes: seals the practice check

	// From other secrets.
	labelObject     = "coffer/1/object"     // followed by the kind; salted: one object's key
	labelCapability = "coffer/1/capability" // from the cloud share: Ed25519 seed
	labelArming     = "coffer/1/arming"     // from the secret of the guards, followed by record and generation: ECDSA P-256
	labelKEK        = "coffer/1/kek"        // followed by the generation; wraps the root key
	labelPassphrase = "coffer/1/passphrase" // starts the associated data of a passphrase slot
	labelAEAD       = "coffer/1/aead"       // used by package aead
)
