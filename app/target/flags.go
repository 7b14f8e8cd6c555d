package target

import "runtime"

// keptFlags are the flags of macOS (sys/stat.h) that say something about a file,
// not about how it is stored: nodump, immutable, append-only, opaque, hidden.
// Compression, tracking and the system's own are left to the system.
const keptFlags = 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | 0x00008000

// tellingWinAttrs are those whose loss is worth a word elsewhere: hidden, system.
const tellingWinAttrs = 0x2 | 0x4

// foreignWinAttrs names what only Windows has.
func foreignWinAttrs(m *Meta, lost []string) []string {
	if runtime.GOOS != "windows" && m.WinAttrs&tellingWinAttrs != 0 {
		lost = append(lost, LostWinAttrs+": only Windows has them")
	}
	return lost
}
