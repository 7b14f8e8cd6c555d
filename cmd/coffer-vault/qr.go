package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"
)

// qrFlags say how a link is shown to a camera.
type qrFlags struct {
	terminal bool
	file     string
}

func (q *qrFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&q.terminal, "qr", false, "show the link as a QR code on standard error")
	cmd.Flags().StringVar(&q.file, "qr-file", "", "write the QR code to `FILE.png`, which must not exist")
}

// show draws the code, and writes it.
func (q *qrFlags) show(w io.Writer, link string) error {
	if !q.terminal && q.file == "" {
		return nil
	}
	code, err := qr.Encode(link, qr.M)
	if err != nil {
		return fmt.Errorf("make QR code: %w", err)
	}
	if q.terminal {
		if _, err := io.WriteString(w, blocks(code)); err != nil {
			return fmt.Errorf("show QR code: %w", err)
		}
	}
	if q.file == "" {
		return nil
	}
	f, err := os.OpenFile(q.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage("The file of --qr-file is there already; it was not changed.", "Choose another name. The link itself is good.")
	}
	if err != nil {
		return fmt.Errorf("write QR code: %w", err)
	}
	_, err = f.Write(code.PNG())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write QR code: %w", err)
	}
	return nil
}

// quiet is the light margin that a code needs around it (ISO/IEC 18004, 5.3.8).
const quiet = 4

// blocks draws two rows of a code in each line of text, in colours of its own: a code must
// be dark on light, whatever the terminal is.
func blocks(code *qr.Code) string {
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}
