package icloud

import (
	"encoding/binary"
	"errors"
	"strings"
)

// maxStub bounds a stub; real ones have about 200 bytes.
const maxStub = 4 << 10

// errStub: not a stub.
var errStub = errors.New("icloud: not a stub")

// The keys of a stub.
const (
	keyName = "NSURLNameKey"
	keySize = "NSURLFileSizeKey"
)

// parseStub reads a stub: a binary property list ("bplist00"), a dictionary with
// the name of the file and its size in bytes. Of the format (CFBinaryPList.c)
// only that is understood which stubs have: one dictionary of fewer than 15
// entries, strings and integers.
func parseStub(data []byte) (name string, size int64, err error) {
	p, err := openPlist(data)
	if err != nil {
		return "", 0, err
	}
	keys, values, err := p.dictionary()
	if err != nil {
		return "", 0, err
	}
	size = -1
	for i, key := range keys {
		k, err := p.text(key)
		if err != nil {
			return "", 0, err
		}
		switch k {
		case keyName:
			if name != "" {
				return "", 0, errStub
			}
			name, err = p.text(values[i])
		case keySize:
			if size >= 0 {
				return "", 0, errStub
			}
			size, err = p.integer(values[i])
		}
		if err != nil {
			return "", 0, err
		}
	}
	if name == "" || size < 0 {
		return "", 0, errStub
	}
	return name, size, nil
}

// A plist is a binary property list: objects, a table of where they begin, and a
// trailer of 32 bytes that says how the table is written.
type plist struct {
	data    []byte   // magic and objects
	offsets []uint64 // of each object in data
	refSize int      // bytes of a reference to an object
	top     int      // the outermost object
}

const (
	plistMagic   = "bplist00"
	trailerSize  = 32
	kindInteger  = 0x1
	kindASCII    = 0x5
	kindDict     = 0xd
	countFollows = 0xf // in the place of a count: the count is an object of its own
)

func openPlist(data []byte) (*plist, error) {
	if len(data) > maxStub || len(data) < len(plistMagic)+trailerSize || !strings.HasPrefix(string(data), plistMagic) {
		return nil, errStub
	}
	trailer := data[len(data)-trailerSize:]
	offsetSize, refSize := int(trailer[6]), int(trailer[7])
	count := binary.BigEndian.Uint64(trailer[8:])
	top := binary.BigEndian.Uint64(trailer[16:])
	table := binary.BigEndian.Uint64(trailer[24:])
	end := uint64(len(data) - trailerSize)
	switch {
	case strings.Trim(string(trailer[:6]), "\x00") != "", offsetSize < 1, offsetSize > 8, refSize < 1, refSize > 8:
		return nil, errStub
	case count == 0, count > maxStub, top >= count, table < uint64(len(plistMagic)), table > end, end-table != count*uint64(offsetSize):
		return nil, errStub
	}
	p := &plist{data: data[:table], refSize: refSize, top: int(top)}
	for i := range int(count) {
		at := int(table) + i*offsetSize
		offset := bigEndian(data[at : at+offsetSize])
		if offset < uint64(len(plistMagic)) || offset >= table {
			return nil, errStub
		}
		p.offsets = append(p.offsets, offset)
	}
	return p, nil
}

// bigEndian reads up to eight bytes.
func bigEndian(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// object returns kind and count of an object, and what follows its first byte.
func (p *plist) object(ref int) (kind, count int, rest []byte, err error) {
	if ref >= len(p.offsets) {
		return 0, 0, nil, errStub
	}
	at := p.offsets[ref]
	kind, count, rest = int(p.data[at]>>4), int(p.data[at]&0xf), p.data[at+1:]
	if count == countFollows && kind != kindInteger {
		// A one-byte count, which is all that fits a stub; of strings alone.
		if kind != kindASCII || len(rest) < 2 || rest[0] != kindInteger<<4 {
			return 0, 0, nil, errStub
		}
		count, rest = int(rest[1]), rest[2:]
	}
	return kind, count, rest, nil
}

// dictionary returns the references of the keys and values of the outermost
// object.
func (p *plist) dictionary() (keys, values []int, err error) {
	kind, count, rest, err := p.object(p.top)
	if err != nil {
		return nil, nil, err
	}
	if kind != kindDict || len(rest) < 2*count*p.refSize {
		return nil, nil, errStub
	}
	var refs []int
	for i := range 2 * count {
		ref := bigEndian(rest[i*p.refSize : (i+1)*p.refSize])
		if ref >= uint64(len(p.offsets)) {
			return nil, nil, errStub
		}
		refs = append(refs, int(ref))
	}
	return refs[:count], refs[count:], nil
}

func (p *plist) text(ref int) (string, error) {
	kind, count, rest, err := p.object(ref)
	if err != nil {
		return "", err
	}
	if kind != kindASCII || len(rest) < count {
		return "", errStub
	}
	return string(rest[:count]), nil
}

// integer reads a number of 1, 2, 4 or 8 bytes; those of 8 are signed.
func (p *plist) integer(ref int) (int64, error) {
	kind, power, rest, err := p.object(ref)
	if err != nil {
		return 0, err
	}
	if kind != kindInteger || power > 3 || len(rest) < 1<<power {
		return 0, errStub
	}
	n := int64(bigEndian(rest[:1<<power]))
	if n < 0 {
		return 0, errStub
	}
	return n, nil
}
