package target

import (
	"os/exec"
	"testing"
)

func setNamespace(*exec.Cmd) {}

func mountTmpfs(t *testing.T, _, _ string) { t.Skip("no private mounts on macOS") }

func remountReadOnly(*testing.T, string) {}
