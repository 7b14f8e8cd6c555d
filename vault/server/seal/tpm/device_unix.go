//go:build !windows

package tpm

import (
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

const defaultDevice = "/dev/tpmrm0"

// openSystemDevice opens a character device: /dev/tpmrm0, behind which the kernel keeps
// the objects of programs apart, or /dev/tpm0.
func openSystemDevice(name string) (d device, alone bool, err error) {
	if name == "" {
		name = defaultDevice
	}
	t, err := linuxtpm.Open(name)
	if err != nil {
		return nil, false, fmt.Errorf("open TPM: %w: %w", ErrDevice, err)
	}
	return file{t}, !strings.Contains(name, "tpmrm"), nil
}
