package repo

import (
	"bytes"
	"context"
	"fmt"

	"coffer/cloud"
)

const readmeName = "README.txt"

// readme lies beside the data and is always the same text, so that a check can
// tell whether it was changed.
const readme = `This folder is an encrypted backup made by Coffer.

Please do not change, rename or delete files here: each one may be needed to
get your files back. The folder may be copied or moved as a whole.

To get your files back
  1. Install Coffer on any computer (macOS, Windows or Linux).
  2. Choose "Get files back" and this folder, or type
       coffer open --from THIS-FOLDER --key-file KEY.txt
       coffer restore latest --target NEW-FOLDER
  3. Give the password, the passphrase, or the 64 digits of your recovery sheet.

Nobody can reset these for you: not the makers of Coffer, not the owner of the
place where this folder lies.

Without Coffer
  The format is documented (docs/format.md in Coffer's sources), and the sources
  hold a small reader in Python (docs/reader/coffer_reader.py) that needs this
  folder and the 64 digits only.

To see whether files here are damaged, without any key: the name of each file
ends with the first 40 digits of its own SHA-256.
`

// WriteReadme stores the text for people beside the objects.
func WriteReadme(ctx context.Context, store *cloud.Store) error {
	if err := store.Put(ctx, readmeName, []byte(readme)); err != nil {
		return fmt.Errorf("store %s: %w", readmeName, err)
	}
	return nil
}

func checkReadme(stored []byte) bool { return bytes.Equal(stored, []byte(readme)) }
