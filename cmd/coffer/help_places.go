package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const placesHelp = `
A place keeps a backup. It is written as one text, which never holds a password:

  /media/disk/Backup                     a folder: a disk, a stick, a mounted share
  folder:PATH                            the same, for paths that look like something else
  drive:[FOLDER]                         Google Drive; without FOLDER "Coffer Backups"
  icloud:[FOLDER]                        iCloud Drive, on a Mac or a PC
  s3:https://HOST/BUCKET[/PREFIX]        S3 and what speaks like it
  webdav:https://[USER@]HOST/PATH        WebDAV: Nextcloud, a NAS, many providers
  sftp://USER@HOST[:PORT]/PATH           a folder on a server with SSH; /~/ is the home
  rclone:REMOTE:PATH                     whatever your own rclone reaches

What a place wants to know beside that:

  drive    --drive-client FILE, the JSON of your own client from Google's console; then it
           shows an address to sign in at. Without a browser: --drive-token-file FILE
  s3       --access-key ID --secret-key-file FILE [--region R] [--lock-days N]
           or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, each time
  webdav   --user NAME --place-password-file FILE
  sftp     your SSH agent, --ssh-key FILE, or --place-password-file FILE; the host key is
           looked up in your known_hosts, or asked about, or given: --host-key SHA256:...
  rclone   [--rclone-config FILE]

On a terminal, what is missing is asked for. Secrets are kept in the key store of this
computer, or sealed in the profile where there is none; later commands need neither flags
nor files.

  coffer place test PLACE     tries a place before you trust it
  coffer place add PLACE      keeps the backup in one more place
  coffer network              speed limits, proxy, certificates

More: docs/places.md`

// placesTopic is 'coffer help places': text, and nothing to run.
func placesTopic() *cobra.Command {
	return &cobra.Command{Use: "places", Short: "How places are written, and what each kind wants", Long: strings.TrimSpace(placesHelp)}
}
