package app

// UnlockOptions is how the user gets in when the key is not kept on this computer.
type UnlockOptions struct {
	Lock   LockKind
	Secret Secret
	Key    RootKey
}
