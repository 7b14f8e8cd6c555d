package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of packets (draft-ietf-secsh-filexfer-02, section 3).
const (
	kindInit     = 1
	kindVersion  = 2
	kindOpen     = 3
	kindClose    = 4
	kindRead     = 5
	kindWrite    = 6
	kindLstat    = 7
	kindOpendir  = 11
	kindReaddir  = 12
	kindRemove   = 13
	kindMkdir    = 14
	kindStat     = 17
	kindRename   = 18
	kindStatus   = 101
	kindHandle   = 102
	kindData     = 103
	kindName     = 104
	kindAttrs    = 105
	kindExtended = 200
	kindReply    = 201 // of an extended request
)

// The codes of a status (section 7), and those of later versions that some
// servers send all the same.
const (
	codeOK          = 0
	codeEOF         = 1
	codeNoSuchFile  = 2
	codeDenied      = 3
	codeFailure     = 4
	codeBadMessage  = 5
	codeUnsupported = 8
	codeExists      = 11
	codeReadOnly    = 12
	codeNoSpace     = 14
	codeQuota       = 15
)

// How to open a file (section 6.3).
const (
	openRead   = 0x01
	openWrite  = 0x02
	openCreate = 0x08
	openExcl   = 0x20
)

// What attributes hold (section 5).
const (
	hasSize     = 0x01
	hasOwner    = 0x02
	hasMode     = 0x04
	hasTimes    = 0x08
	hasExtended = 0x80000000
)

// The type of a file in its mode (POSIX).
const (
	modeType    = 0o170000
	modeRegular = 0o100000
	modeFolder  = 0o040000
)

// The extensions (OpenSSH's PROTOCOL, section 4).
const (
	extFsync    = "fsync@openssh.com"
	extHardlink = "hardlink@openssh.com"
	extStatvfs  = "statvfs@openssh.com"
	extLimits   = "limits@openssh.com"
)

const (
	// maxPacket is the longest packet that is taken, without its length word. It
	// is OpenSSH's own limit.
	maxPacket = 256 << 10
	// maxHandle is the length of a handle at most (section 4: 256 bytes).
	maxHandle = 256
	// lengthWord is in front of each packet.
	lengthWord = 4
)

// errProtocol: an answer that is none. What comes after it cannot be trusted
// either, so it ends the channel.
var errProtocol = errors.New("sftp: malformed answer")

// newPacket begins a packet; finish it with sealed.
func newPacket(kind byte, id uint32, room int) []byte {
	b := make([]byte, lengthWord, lengthWord+1+4+room)
	return binary.BigEndian.AppendUint32(append(b, kind), id)
}

// sealed sets the length word.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-lengthWord))
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// pathPacket is a request about one path, or handle.
func pathPacket(kind byte, id uint32, path string) []byte {
	return sealed(appendText(newPacket(kind, id, 4+len(path)), path))
}

// openPacket opens path with the given flags; a new file is for its user alone.
func openPacket(id uint32, path string, flags uint32) []byte {
	b := appendText(newPacket(kindOpen, id, 4+len(path)+12), path)
	b = binary.BigEndian.AppendUint32(b, flags)
	if flags&openCreate == 0 {
		return sealed(binary.BigEndian.AppendUint32(b, 0))
	}
	return sealed(appendMode(b, 0o600))
}

func mkdirPacket(id uint32, path string) []byte {
	return sealed(appendMode(appendText(newPacket(kindMkdir, id, 4+len(path)+8), path), 0o700))
}

// appendMode adds attributes that hold permissions only.
func appendMode(b []byte, mode uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, hasMode)
	return binary.BigEndian.AppendUint32(b, mode)
}

func readPacket(id uint32, handle string, off int64, n int) []byte {
	b := appendText(newPacket(kindRead, id, 4+len(handle)+12), handle)
	b = binary.BigEndian.AppendUint64(b, uint64(off))
	return sealed(binary.BigEndian.AppendUint32(b, uint32(n)))
}

// appendWriteHeader begins a write of n bytes, which follow.
func appendWriteHeader(b []byte, id uint32, handle string, off int64, n int) []byte {
	b = append(b, 0, 0, 0, 0, kindWrite)
	b = binary.BigEndian.AppendUint32(b, id)
	b = appendText(b, handle)
	b = binary.BigEndian.AppendUint64(b, uint64(off))
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// renamePacket is the rename of version 3.
func renamePacket(id uint32, from, to string) []byte {
	return sealed(appendText(appendText(newPacket(kindRename, id, 8+len(from)+len(to)), from), to))
}

// extendedPacket is a request of an extension with texts as its arguments.
func extendedPacket(id uint32, name string, args ...string) []byte {
	b := appendText(newPacket(kindExtended, id, 4+len(name)), name)
	for _, arg := range args {
		b = appendText(b, arg)
	}
	return sealed(b)
}

// A parser takes fields off the front of a packet. The first that is not there
// makes bad true and all that follow empty.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) take(n uint32) []byte {
	if p.bad || uint64(n) > uint64(len(p.rest)) {
		p.bad, p.rest = true, nil
		return nil
	}
	taken := p.rest[:n:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *parser) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *parser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (p *parser) text() []byte { return p.take(p.uint32()) }

// end requires that nothing is left.
func (p *parser) end(what string) error {
	if p.bad || len(p.rest) > 0 {
		return fmt.Errorf("%w: %s", errProtocol, what)
	}
	return nil
}

// attrs are the attributes of a file, as far as they are of use.
type attrs struct {
	has  uint32 // which of the fields are set
	size uint64
	mode uint32
	time uint32 // of the last write, seconds since 1970 by the server's clock
}

// regular reports that this is a file, and not a link, a pipe, a folder or
// something of which the server does not say what it is.
func (a attrs) regular() bool { return a.has&hasMode != 0 && a.mode&modeType == modeRegular }

// folder reports that this is a folder, or may be one: some servers do not say.
func (a attrs) folder() bool { return a.has&hasMode == 0 || a.mode&modeType == modeFolder }

// bytes returns the size, or false where it is not said or cannot be.
func (a attrs) bytes() (int64, bool) {
	return int64(a.size), a.has&hasSize != 0 && int64(a.size) >= 0
}

func (p *parser) attrs() attrs {
	a := attrs{has: p.uint32()}
	if a.has&hasSize != 0 {
		a.size = p.uint64()
	}
	if a.has&hasOwner != 0 {
		p.take(8)
	}
	if a.has&hasMode != 0 {
		a.mode = p.uint32()
	}
	if a.has&hasTimes != 0 {
		p.uint32()
		a.time = p.uint32()
	}
	if a.has&hasExtended != 0 {
		for pairs := p.uint32(); pairs > 0 && !p.bad; pairs-- {
			p.text()
			p.text()
		}
	}
	return a
}

// A reply is the answer to one request.
type reply struct {
	kind byte
	body []byte // after the id
	raw  []byte // all of the packet, to be recycled when it was read
}

// status returns nil for OK, and a *statusError for any other code.
func (r reply) status() error {
	if r.kind != kindStatus {
		return fmt.Errorf("%w: kind %d", errProtocol, r.kind)
	}
	p := parser{rest: r.body}
	code := p.uint32()
	if len(p.rest) > 0 { // some servers leave the text out
		p.text()
		if len(p.rest) > 0 { // and some its language
			p.text()
		}
	}
	if err := p.end("status"); err != nil {
		return err
	}
	if code == codeOK {
		return nil
	}
	return &statusError{code}
}

// refusal is the error of an answer of another kind than was hoped for.
func (r reply) refusal() error {
	if err := r.status(); err != nil {
		return err
	}
	return fmt.Errorf("%w: OK without an answer", errProtocol)
}

func (r reply) handle() (string, error) {
	if r.kind != kindHandle {
		return "", r.refusal()
	}
	p := parser{rest: r.body}
	handle := p.text()
	if err := p.end("handle"); err != nil {
		return "", err
	}
	if len(handle) > maxHandle {
		return "", fmt.Errorf("%w: handle of %d bytes", errProtocol, len(handle))
	}
	return string(handle), nil
}

// data returns the bytes of an answer to a read of n bytes: at least one.
func (r reply) data(n int) ([]byte, error) {
	if r.kind != kindData {
		return nil, r.refusal()
	}
	p := parser{rest: r.body}
	data := p.text()
	if err := p.end("data"); err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data) > n {
		return nil, fmt.Errorf("%w: %d bytes for %d", errProtocol, len(data), n)
	}
	return data, nil
}

func (r reply) attrs() (attrs, error) {
	if r.kind != kindAttrs {
		return attrs{}, r.refusal()
	}
	p := parser{rest: r.body}
	a := p.attrs()
	return a, p.end("attributes")
}

// An entry is one line of a listing.
type entry struct {
	name string
	attrs
}

func (r reply) entries() ([]entry, error) {
	if r.kind != kindName {
		return nil, r.refusal()
	}
	p := parser{rest: r.body}
	count := p.uint32()
	const least = 4 + 4 + 4 // two empty texts and no attributes
	if uint64(count)*least > uint64(len(p.rest)) {
		return nil, fmt.Errorf("%w: %d names in %d bytes", errProtocol, count, len(p.rest))
	}
	found := make([]entry, 0, count)
	for range count {
		name := p.text()
		p.text() // the line of "ls -l"
		found = append(found, entry{string(name), p.attrs()})
	}
	return found, p.end("names")
}

// A room is what a server says of its file system (statvfs).
type room struct {
	block  uint64 // bytes of a block
	blocks uint64
	free   uint64 // blocks for this user
	files  uint64 // in all; 0 where there is no such limit
	inodes uint64 // files that this user may still make
	flags  uint64
}

// roomReadOnly: the file system takes no writes.
const roomReadOnly = 0x1

func (r reply) room() (room, error) {
	if r.kind != kindReply {
		return room{}, r.refusal()
	}
	p := parser{rest: r.body}
	p.uint64() // block size; the fragment size counts
	found := room{block: p.uint64(), blocks: p.uint64()}
	p.uint64() // free for root
	found.free, found.files = p.uint64(), p.uint64()
	p.uint64() // free inodes for root
	found.inodes = p.uint64()
	p.uint64() // id
	found.flags = p.uint64()
	p.uint64() // longest name
	return found, p.end("statvfs")
}

// limits are the longest read and write that a server takes, in bytes.
func (r reply) limits() (read, write uint64, err error) {
	if r.kind != kindReply {
		return 0, 0, r.refusal()
	}
	p := parser{rest: r.body}
	p.uint64() // longest packet
	read, write = p.uint64(), p.uint64()
	p.uint64() // handles
	return read, write, p.end("limits")
}

// version returns what a server said first: its extensions.
func (r reply) version() (map[string]string, error) {
	p := parser{rest: r.body}
	version := p.uint32()
	extensions := map[string]string{}
	for len(p.rest) > 0 {
		name, data := p.text(), p.text()
		extensions[string(name)] = string(data)
	}
	if err := p.end("version"); err != nil {
		return nil, err
	}
	if r.kind != kindVersion || version != 3 {
		return nil, fmt.Errorf("%w: kind %d, version %d", errProtocol, r.kind, version)
	}
	return extensions, nil
}
