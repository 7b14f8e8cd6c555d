package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// forms are the ways in which bytes may stand somewhere: as they are, in hexadecimal, in
// base64 at each of the three places where it may begin in a group, and, of a text, in
// UTF-16.
func forms(secret []byte) map[string][]byte {
	all := map[string][]byte{
		"as it is":    secret,
		"hexadecimal": []byte(hex.EncodeToString(secret)),
		"HEXADECIMAL": []byte(strings.ToUpper(hex.EncodeToString(secret))),
	}
	for shift := range 3 {
		shifted := append(make([]byte, shift), secret...)
		whole := len(shifted) / 3 * 3
		for name, code := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := code.EncodeToString(shifted[:whole])
			all[fmt.Sprintf("%s, moved by %d", name, shift)] = []byte(text[min(len(text), []int{0, 2, 3}[shift]):])
		}
	}
	if text := string(secret); strings.ToValidUTF8(text, "") == text {
		little, big := []byte{}, []byte{}
		for _, unit := range utf16.Encode([]rune(text)) {
			little = binary.LittleEndian.AppendUint16(little, unit)
			big = binary.BigEndian.AppendUint16(big, unit)
		}
		all["UTF-16, little-endian"], all["UTF-16, big-endian"] = little, big
	}
	return all
}

// found names the forms in which a secret stands in hay.
func found(hay, secret []byte) (names []string) {
	for name, needle := range forms(secret) {
		if len(needle) < 8 {
			panic("a short needle is found everywhere")
		}
		if bytes.Contains(hay, needle) {
			names = append(names, name)
		}
	}
	return names
}

// TestTheSearchFindsEveryForm plants each form of a secret.
func TestTheSearchFindsEveryForm(t *testing.T) {
	secret := []byte("Krähe 7 Ofen, unique")
	var hay bytes.Buffer
	wide := func(order binary.AppendByteOrder) (b []byte) {
		for _, u := range utf16.Encode([]rune(string(secret))) {
			b = order.AppendUint16(b, u)
		}
		return b
	}
	for name, planted := range map[string][]byte{
		"as it is": secret, "hexadecimal": fmt.Appendf(nil, "%x", secret), "HEXADECIMAL": fmt.Appendf(nil, "%X", secret),
		"base64, moved by 0":    []byte(base64.StdEncoding.EncodeToString(secret)),
		"base64, moved by 1":    []byte(base64.StdEncoding.EncodeToString([]byte("x" + string(secret) + "yz"))),
		"base64, moved by 2":    []byte(base64.StdEncoding.EncodeToString([]byte("xy" + string(secret) + "z"))),
		"base64url, moved by 1": []byte(base64.URLEncoding.EncodeToString([]byte("x" + string(secret) + "yz"))),
		"UTF-16, little-endian": wide(binary.LittleEndian), "UTF-16, big-endian": wide(binary.BigEndian),
	} {
		hay.Reset()
		hay.WriteString("before ")
		hay.Write(planted)
		hay.WriteString(" after")
		names := strings.Join(found(hay.Bytes(), secret), "; ")
		if !strings.Contains(names, name) {
			t.Errorf("%s: found %q", name, names)
		}
	}
	if names := found([]byte("nothing of it"), secret); len(names) != 0 {
		t.Errorf("found in nothing: %v", names)
	}
}
