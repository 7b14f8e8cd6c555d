package sftp

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"coffer/cloud"
)

// BenchmarkOpenSSH moves packs of 16 MiB, three at once as a backup does, to
// OpenSSH on this computer and back. 64 of them are 1 GiB: -benchtime 64x.
func BenchmarkOpenSSH(b *testing.B) {
	const size = 16 << 20
	s := startSSHD(b)
	d := mustOpen(b, s.config(b.TempDir()))
	data := content(1, size)
	b.Run("Up", func(b *testing.B) {
		b.SetBytes(size)
		each(b, func(i int) error {
			return d.Put(b.Context(), cloud.Name("pack", []byte{byte(i), byte(i >> 8)}), cloud.Bytes(data))
		})
	})
	b.Run("Down", func(b *testing.B) {
		b.SetBytes(size)
		each(b, func(i int) error {
			r, err := d.Get(b.Context(), cloud.Name("pack", []byte{byte(i), byte(i >> 8)}), 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		})
	})
}

// each calls f for 0 to b.N-1, three at once.
func each(b *testing.B, f func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 3 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
