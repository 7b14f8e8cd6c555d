package repo

import "math/bits"

// padme returns the Padmé size for n bytes (docs/format.md, section 3.3): it
// keeps about log2 log2 n bits of the size and so tells little more than its
// order of magnitude.
func padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1 // floor(log2 n)
	s := bits.Len(uint(e))     // floor(log2 e) + 1
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// pad appends the mark and the zeros to a plaintext whose object has
// overhead more bytes.
func pad(plain []byte, overhead int) []byte {
	plain = append(plain, 0x80)
	zeros := padme(len(plain)+overhead) - overhead - len(plain)
	return append(plain, make([]byte, zeros)...)
}

// unpad returns the payload of a padded plaintext. Any other padding than
// pad's is refused, so that one object has one form only.
func unpad(plain []byte, overhead int) ([]byte, error) {
	end := len(plain)
	for end > 0 && plain[end-1] == 0 {
		end--
	}
	if end == 0 || plain[end-1] != 0x80 || padme(end+overhead) != len(plain)+overhead {
		return nil, errFormat
	}
	return plain[:end-1], nil
}
