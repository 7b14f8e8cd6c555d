package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coffer/vault/server/seal/pkcs11"
	"coffer/vault/server/seal/tpm"
	"coffer/vault/server/store/bolt"
	"coffer/vault/server/store/etcd"
)

// A Failure is what is said of an error.
type Failure struct {
	Code   string // stable, for scripts
	Says   string // what happened, a sentence
	Advice string // what to do
}

// A failureRow is a line of the table.
type failureRow struct {
	err  error
	code string
	says string // %s: the text of the error, which the sentence needs to be of use
	do   string
}

// failures is THE table from error to sentence; the first line that fits counts, so what is
// inside of another stands before it.
var failures = []failureRow{
	{ErrConfig, "config", "The configuration is not right: %s.", "Correct it and start again."},
	{ErrNoVault, "no-vault", "There is no vault in this folder.", "Make one with 'coffer-vault init', or say where it is with --data."},
	{ErrExists, "exists", "There is a vault, or a part of one, in this folder already; nothing was changed.", "Choose another folder with --data."},
	{bolt.ErrBusy, "busy", "Another process has this vault.", "End it first, or ask it: most commands talk to a vault that runs."},
	{ErrBusy, "busy", "Another process has this vault and does not answer.", "Wait until it has started or ended, or end it."},
	{ErrOpenToAll, "open-to-all", "A file with keys can be read by others: %s.", "Make it 'chmod 600', and think about who may have read it."},
	{
		ErrNoDestruction, "no-destruction", "A software vault on a cluster cannot destroy a key: old rows, with the keys that open them, stay in the log of the cluster until it is purged.",
		"Use a token (--seal pkcs11:...) or one computer (--store bolt); or say that you accept it: --accept-no-destruction.",
	},
	{pkcs11.ErrNotBuilt, "not-built", "This coffer-vault was built without PKCS#11.", "Use the build coffer-vault-pkcs11."},
	{pkcs11.ErrPIN, "pin", "The token refuses the PIN.", "Correct it and start again: tokens lock after a few wrong ones."},
	{pkcs11.ErrKey, "token-key", "The token does not have the key of this vault.", "Is it the right token? Without that key the records are lost."},
	{pkcs11.ErrOptions, "token-uri", "The URI of the token is not right: %s.", "It is like pkcs11:token=NAME?module-path=/usr/lib/module.so&pin-source=file:/etc/coffer/pin."},
	{
		tpm.ErrRolledBack, "rolled-back", "This store is older than its TPM knows: somebody has put an old copy in its place.",
		"Put the newest one back. If there is none, its owner may go on with this one: coffer-vault recover-epoch --recovery FILE --new-recovery FILE.",
	},
	{
		tpm.ErrOtherTPM, "other-tpm", "This store was sealed by another TPM, or this TPM was cleared since.",
		"Its owner may go on with it here: coffer-vault recover-epoch --recovery FILE --new-recovery FILE.",
	},
	{tpm.ErrTampered, "tampered", "The store was changed behind the back of the vault.", "Find out who did. The newest good copy can be recovered with coffer-vault recover-epoch."},
	{tpm.ErrFull, "tpm-full", "The TPM has no room for another one.", "Free some of its NV indices, or use the sealer tpm-epochs."},
	{tpm.ErrDevice, "no-tpm", "There is no such TPM, or it cannot be opened: %s.", "The device is like tpm:/dev/tpmrm0, and the user of the vault must be in its group (tss)."},
	{bolt.ErrDamaged, "damaged", "The store is damaged: %s.", "Put a backup in its place."},
	{etcd.ErrDamaged, "damaged", "The cluster holds, under this prefix, what no vault has written.", "Choose another prefix, or look who else uses the cluster."},
	{ErrDamaged, "damaged", "A file of the vault is damaged or missing: %s.", "Put a backup of it in its place."},
	{errNotEmpty, "store-not-empty", "The store holds the records of another vault already.", "Choose an empty one, or another prefix."},
	{
		ErrNotSigned, "not-signed", "A new bundle must be signed before the vault can go on: %s.",
		"Run 'coffer-vault bundle --renew'; have bundle.next signed with 'coffer-vault bundle --sign-with FILE', and bring it back with 'coffer-vault bundle --install FILE'. Or undo the change in vault.toml.",
	},
	{ErrOtherVault, "other-vault", "This is not the vault that the link names: %s.", "Do not type a password. Ask who gave you the link, on another way."},
	{ErrExpired, "expired", "The bundle is not good at this time: %s.", "Look at the clock of this computer; else have the bundle renewed: coffer-vault bundle --renew."},
	{ErrBundle, "bundle", "This bundle cannot be used: %s.", "Make a new one with 'coffer-vault bundle --renew'. If vault.toml was changed since the vault was started, end it first."},
	{ErrKeyFile, "key-file", "This is not the right key: %s.", "The root is in root.key, where you have moved it; a second signer has a file of its own."},
	{ErrLink, "link", "This is no link to a vault: %s.", "It begins with coffer-vault:// and was printed by 'coffer-vault init'; 'coffer-vault status' prints it again."},
	{ErrUnreachable, "unreachable", "Nobody answers there: %s.", "Is the vault running, and the port open?"},
	{ErrListen, "listen", "The vault cannot listen: %s.", "Is another program there? Choose another port: listen in vault.toml, or --listen."},
	{ErrCertificate, "certificate", "The certificate cannot be used: %s.", "Certificate and key are PEM files, named by tls in vault.toml."},
	{ErrFileExists, "file-exists", "The file is there already: %s. Nothing was changed.", "Choose another name."},
	{ErrNotInvited, "no-invitations", "This vault takes no invitations: %s.", `Set register = "invite" in vault.toml, and start it again.`},
	{ErrNotHere, "not-here", "This vault has no such thing: %s.", ""},
	{ErrRecovery, "recovery", "This is not the recovery key: %s.", "It was written by 'coffer-vault init --recovery FILE', or by the last 'recover-epoch'."},
	{ErrSeal, "seal", "The sealer cannot be opened: %s.", "Is the token or the TPM there, and may this user use it?"},
	{ErrStore, "store", "The store cannot be opened: %s.", "Is it there, and is there a quorum of the cluster?"},
}

// Explain says what is to be said of an error of this package.
func Explain(err error) Failure {
	if code := remoteCode(err); code != "" {
		for _, f := range failures {
			if f.code == code {
				return f.failure(err)
			}
		}
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return f.failure(err)
		}
	}
	if errors.Is(err, context.Canceled) {
		return Failure{"stopped", "Stopped.", ""}
	}
	return Failure{"failed", fmt.Sprintf("It failed: %s.", quoteControls(err.Error())), ""}
}

func (f failureRow) failure(err error) Failure {
	says := f.says
	if strings.Contains(says, "%s") {
		says = fmt.Sprintf(says, details(err))
	}
	return Failure{f.code, says, f.do}
}

// details is the text of an error without the names of its sentinels, which the sentence
// says better.
func details(err error) string {
	text := quoteControls(err.Error())
	for _, f := range failures {
		text = strings.ReplaceAll(text, ": "+f.err.Error(), "")
	}
	return text
}

// remoteCode returns the code of an error that came through the socket.
func remoteCode(err error) string {
	var r *remoteError
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}
