package node

import (
	"strings"

	"coffer/vault/server/seal"
)

const sealSoft = "soft"

// A sealSpec is the setting "seal", read.
type sealSpec struct {
	class  string // of package seal
	uri    string // pkcs11
	device string // tpm; empty: the system's
}

func (s sealSpec) isTPM() bool { return s.class == seal.ClassTPM || s.class == seal.ClassTPMEpochs }

// parseSeal reads soft, pkcs11:URI, tpm[:DEVICE] or tpm-epochs[:DEVICE]. [ErrConfig].
func parseSeal(text string) (sealSpec, error) {
	kind, rest, more := strings.Cut(text, ":")
	if more && rest == "" {
		return sealSpec{}, wrong("seal", "%q ends with a colon", text)
	}
	switch kind {
	case sealSoft:
		if more {
			return sealSpec{}, wrong("seal", "soft is followed by nothing")
		}
		return sealSpec{class: seal.ClassSoftware}, nil
	case "pkcs11":
		if !more {
			return sealSpec{}, wrong("seal", "a token needs its URI: pkcs11:token=NAME?module-path=/FILE.so&pin-source=file:/FILE")
		}
		return sealSpec{class: seal.ClassToken, uri: text}, nil
	case "tpm":
		return sealSpec{class: seal.ClassTPM, device: rest}, nil
	case "tpm-epochs":
		return sealSpec{class: seal.ClassTPMEpochs, device: rest}, nil
	}
	return sealSpec{}, wrong("seal", "%q is none of soft, pkcs11:URI, tpm, tpm:DEVICE, tpm-epochs, tpm-epochs:DEVICE", text)
}
