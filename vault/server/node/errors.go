package node

import "errors"

// The situations that a command can talk about; [Explain] has a sentence for each.
var (
	// ErrConfig says that the configuration cannot be. The text names file, line and key.
	ErrConfig = errors.New("node: the configuration is not right")
	// ErrExists says that the folder has a vault, or files of one.
	ErrExists = errors.New("node: there is a vault in this folder already")
	// ErrNoVault says that the folder has no vault.
	ErrNoVault = errors.New("node: there is no vault in this folder")
	// ErrBusy says that another process has the vault, and does not answer.
	ErrBusy = errors.New("node: another process has the vault")
	// ErrDamaged says that a file of the vault is not whole.
	ErrDamaged = errors.New("node: a file of the vault is damaged")
	// ErrOpenToAll says that a file with keys can be read by other users.
	ErrOpenToAll = errors.New("node: a file with keys can be read by others")
	// ErrNoDestruction says that this sealer and this store together cannot destroy a key,
	// and that nobody has accepted it.
	ErrNoDestruction = errors.New("node: destroyed keys would survive in the log of the cluster")
	// ErrSeal says that the token or the TPM cannot be used.
	ErrSeal = errors.New("node: the sealer cannot be opened")
	// ErrStore says that the store cannot be used.
	ErrStore = errors.New("node: the store cannot be opened")
	// ErrNotSigned says that a new bundle is needed and a signature is missing.
	ErrNotSigned = errors.New("node: a signature is missing")
	// ErrBundle says that a bundle is none, is not signed by who must, is older than the
	// one before, or does not say what this vault does.
	ErrBundle = errors.New("node: this bundle cannot be used")
	// ErrExpired says that a bundle has expired, or is from the future.
	ErrExpired = errors.New("node: the bundle is not good at this time")
	// ErrKeyFile says that a file is not the key that is needed.
	ErrKeyFile = errors.New("node: this is not the right key file")
	// ErrLink says that a text is no link to a vault.
	ErrLink = errors.New("node: this is no link to a vault")
	// ErrUnreachable says that nobody answered at an address.
	ErrUnreachable = errors.New("node: nobody answers there")
	// ErrOtherVault says that who answers is not the vault of the link.
	ErrOtherVault = errors.New("node: this is not the vault that the link names")
	// ErrListen says that an address cannot be listened on.
	ErrListen = errors.New("node: cannot listen")
	// ErrCertificate says that the certificate of the configuration cannot be used.
	ErrCertificate = errors.New("node: the certificate cannot be used")
	// ErrFileExists says that a file is in the way.
	ErrFileExists = errors.New("node: the file exists")
	// ErrNotInvited says that this vault takes no invitations.
	ErrNotInvited = errors.New("node: this vault does not register by invitation")
	// ErrNotHere says that a command is not for this vault's sealer or store.
	ErrNotHere = errors.New("node: this vault has no such thing")
	// ErrRecovery says that a recovery key is none, or not this vault's.
	ErrRecovery = errors.New("node: this is not the recovery key")
)
