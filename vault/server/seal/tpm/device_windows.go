package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2/transport/windowstpm"
)

// openSystemDevice opens the TPM Base Services, which keep the objects of programs apart.
func openSystemDevice(name string) (d device, alone bool, err error) {
	if name != "" && name != "tbs" {
		return nil, false, fmt.Errorf("open TPM %q: %w", name, ErrDevice)
	}
	t, err := windowstpm.Open()
	if err != nil {
		return nil, false, fmt.Errorf("open TPM: %w: %w", ErrDevice, err)
	}
	return file{t}, false, nil
}
