package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const recoveryHead = "coffer-vault recovery key 1"

// encodeRecovery writes the private half of a recovery key as a file, or for paper: groups
// of four hexadecimal digits, and a sum that finds a slip of the pen.
func encodeRecovery(vault [16]byte, private []byte) []byte {
	var b bytes.Buffer
	b.WriteString("# The recovery key of a vault on a TPM. Keep it away from the vault: on paper, in a safe.\n")
	b.WriteString("# Whoever has it and a copy of the vault's folder needs no TPM.\n")
	sum := recoverySum(vault, private)
	fmt.Fprintf(&b, "%s\nvault %x\nkey %s\nsum %x\n", recoveryHead, vault, groups(hex.EncodeToString(private)), sum[:4])
	return b.Bytes()
}

func groups(s string) string {
	var parts []string
	for ; len(s) > 4; s = s[4:] {
		parts = append(parts, s[:4])
	}
	return strings.Join(append(parts, s), " ")
}

func recoverySum(vault [16]byte, private []byte) [32]byte {
	return sha256.Sum256(append(append([]byte(recoveryHead+"\x00"), vault[:]...), private...))
}

const maxRecovery = 4 << 10

// readRecovery reads what encodeRecovery wrote, or what was typed from paper: comments and
// empty lines are skipped, spaces and capitals make no difference. [ErrRecovery].
func readRecovery(path string, vault [16]byte) ([]byte, error) {
	dir, name := filepath.Split(path)
	text, err := folder(dir).readSecret(name, maxRecovery)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parseRecovery(text, vault)
}

func parseRecovery(text []byte, vault [16]byte) ([]byte, error) {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.ToLower(strings.Join(strings.Fields(line), "")); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) != 4 || lines[0] != strings.ReplaceAll(recoveryHead, " ", "") {
		return nil, fmt.Errorf("not a recovery key: %w", ErrRecovery)
	}
	if lines[1] != "vault"+hex.EncodeToString(vault[:]) {
		return nil, fmt.Errorf("the recovery key of another vault: %w", ErrRecovery)
	}
	digits, ok := strings.CutPrefix(lines[2], "key")
	private, err := hex.DecodeString(digits)
	if !ok || err != nil || len(private) != 32 {
		return nil, fmt.Errorf("the key is not 64 hexadecimal digits: %w", ErrRecovery)
	}
	if sum := recoverySum(vault, private); lines[3] != "sum"+hex.EncodeToString(sum[:4]) {
		return nil, fmt.Errorf("a digit is wrong: %w", ErrRecovery)
	}
	return private, nil
}

const copyHead = "coffer-vault copy 1"

// encodeCopy writes copy.txt, which lies in every backup.
func encodeCopy(incarnation uint64, at time.Time) []byte {
	return fmt.Appendf(nil, "# This folder is a copy of a vault, made %s. When it is started, users are told so:\n"+
		"# tries that were used since may have come back. The file goes away by itself.\n%s\nincarnation %d\n",
		at.UTC().Format(time.RFC3339), copyHead, incarnation)
}

// parseCopy returns the incarnation that the copy must have at least. [ErrDamaged].
func parseCopy(text []byte) (uint64, error) {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 || lines[0] != copyHead {
		return 0, fmt.Errorf("read %s: %w", copyName, ErrDamaged)
	}
	digits, ok := strings.CutPrefix(lines[1], "incarnation ")
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil {
		return 0, fmt.Errorf("read %s: %w", copyName, ErrDamaged)
	}
	return n + 1, nil
}
