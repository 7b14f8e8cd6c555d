// Gen makes the same files on every computer, for measuring.
//
// The words: a mix is one folder of test data; the seed decides every byte of it, so two
// runs measure the same work; change rewrites a small part, as a day of use does.
//
//	gen -mix large -to DIR      about 1 GiB: text, media that does not compress, a database, medium files
//	gen -mix small -to DIR      100,000 small files in 1,000 folders
//	gen -mix large -to DIR -scale 0.01
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	mix := flag.String("mix", "", `"large" or "small"`)
	to := flag.String("to", "", "folder to make; it must not exist")
	scale := flag.Float64("scale", 1, "part of the full size")
	seed := flag.Uint64("seed", 1, "another seed makes other bytes")
	flag.Parse()
	if err := run(*mix, *to, *scale, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(mix, to string, scale float64, seed uint64) error {
	if to == "" || scale <= 0 {
		return errors.New("-to and a positive -scale are needed")
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	g := &generator{root: to, noise: rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}), scale: scale}
	g.rng = rand.New(g.noise)
	g.words = g.vocabulary(4000)
	switch mix {
	case "large":
		return g.large()
	case "small":
		return g.small()
	}
	return fmt.Errorf("there is no mix %q", mix)
}

// generator draws every file from one stream of random numbers.
type generator struct {
	root  string
	noise *rand.ChaCha8
	rng   *rand.Rand
	words []string
	scale float64
}

// count scales a number of things, to at least one.
func (g *generator) count(n int) int { return max(1, int(float64(n)*g.scale)) }

// large: 256 MiB of text, 400 MiB of media, a database of 128 MiB, and 240 MiB of medium files of both kinds.
func (g *generator) large() error {
	const mib = 1 << 20
	for i := range g.count(8) {
		if err := g.file(fmt.Sprintf("logs/log-%02d.txt", i), 32*mib, g.text); err != nil {
			return err
		}
	}
	for i := range g.count(100) {
		if err := g.file(fmt.Sprintf("media/%02d/film-%03d.mp4", i%10, i), 4*mib, g.random); err != nil {
			return err
		}
	}
	if err := g.file("chats/messages.sqlite", int64(g.count(128))*mib, g.database); err != nil {
		return err
	}
	for i := range g.count(1200) {
		write := g.text
		if i%2 == 0 {
			write = g.random
		}
		size := int64(40_000 + g.rng.IntN(320_000))
		if err := g.file(fmt.Sprintf("documents/%02d/document-%04d.bin", i%40, i), size, write); err != nil {
			return err
		}
	}
	return nil
}

// small: 100,000 files of 100 bytes to 6 KB, most of them text, a few of them equal.
func (g *generator) small() error {
	for i := range g.count(100_000) {
		write := g.text
		if i%5 == 0 {
			write = g.random
		}
		size := int64(100 + g.rng.IntN(5_500))
		if i%50 == 0 { // the same licence in every folder
			size, write = 1_000, func(w io.Writer, n int64) error {
				_, err := io.WriteString(w, strings.Repeat("as is. ", int(n/7)))
				return err
			}
		}
		if err := g.file(fmt.Sprintf("%d/%02d/file-%06d.txt", i%1000/100, i%100, i), size, write); err != nil {
			return err
		}
	}
	return nil
}

// file writes one file of size bytes, and the folders it lies in.
func (g *generator) file(name string, size int64, write func(io.Writer, int64) error) error {
	path := filepath.Join(g.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f, size), f.Close())
}

// random writes what no compressor makes smaller: photos, films, archives.
func (g *generator) random(w io.Writer, size int64) error {
	_, err := io.CopyN(w, g.noise, size)
	return err
}

// text writes lines of words; a compressor makes it about a third.
func (g *generator) text(w io.Writer, size int64) error {
	var block strings.Builder
	for size > 0 {
		block.Reset()
		for block.Len() < 64<<10 && int64(block.Len()) < size {
			fmt.Fprintf(&block, "2026-11-%02d %02d:%02d:%02d ", 1+g.rng.IntN(28), g.rng.IntN(24), g.rng.IntN(60), g.rng.IntN(60))
			for range 8 + g.rng.IntN(8) {
				block.WriteString(g.words[g.skewed()])
				block.WriteByte(' ')
			}
			block.WriteByte('\n')
		}
		n, err := io.WriteString(w, block.String()[:min(int64(block.Len()), size)])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// database writes pages that begin as an SQLite file does, each half full of text.
func (g *generator) database(w io.Writer, size int64) error {
	const page = 4096
	for at := int64(0); at < size; at += page {
		head := make([]byte, page/2)
		if at == 0 {
			copy(head, "SQLite format 3\x00")
		} else if _, err := g.noise.Read(head[:64]); err != nil {
			return err
		}
		if _, err := w.Write(head); err != nil {
			return err
		}
		if err := g.text(w, page/2); err != nil {
			return err
		}
	}
	return nil
}

// skewed draws a word's number the way languages do: few words are most of a text.
func (g *generator) skewed() int {
	u := g.rng.Float64()
	return int(u * u * u * float64(len(g.words)))
}

// vocabulary makes up words of 2 to 10 letters.
func (g *generator) vocabulary(n int) []string {
	words := make([]string, n)
	for i := range words {
		letters := make([]byte, 2+g.rng.IntN(9))
		for j := range letters {
			letters[j] = "etaoinshrdlucmfwypvbgkqjxz"[min(g.rng.IntN(26), g.rng.IntN(26))]
		}
		words[i] = string(letters)
	}
	return words
}
