package repo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

// A parser reads bytes and writes them again, so that a test can tell that it takes one
// form only.
type parser struct {
	name  string
	good  [][]byte
	parse func([]byte) (again []byte, err error)
}

// parsers are all that read what somebody else may have written.
func parsers(t testing.TB) []parser {
	table := appendTable(nil, testTable(3))
	return []parser{
		{"entry", entrySeeds(), func(b []byte) ([]byte, error) {
			e, err := ParseEntry(b)
			return e.AppendCBOR(nil), err
		}},
		{"page", [][]byte{testPage(4)}, func(b []byte) ([]byte, error) {
			entries, err := parsePage(b, "")
			var body []byte
			for i := range entries {
				body = entries[i].append(body)
			}
			return appendPage(len(entries), body), err
		}},
		{"snapshot", [][]byte{fullSnapshot().body(), testSnapshot(1, 1, Name{}).body()}, func(b []byte) ([]byte, error) {
			s, err := parseSnapshot(b)
			if err != nil {
				return nil, err
			}
			return s.body(), nil
		}},
		{"table", [][]byte{table, appendTable(nil, testTable(1))}, func(b []byte) ([]byte, error) {
			r := tableReader{b: b}
			segments := r.table()
			if r.failed || len(r.b) > 0 {
				return nil, errFormat
			}
			return appendTable(nil, segments), nil
		}},
		{"index", [][]byte{testIndexBody()}, func(b []byte) ([]byte, error) {
			packs, err := parseIndex(b)
			return indexBody(packs), err
		}},
		{"head", [][]byte{sealHead(testKeys(t), fullHead()), sealHead(testKeys(t), serverHead()), sealHead(testKeys(t), &Head{Generation: 1})}, func(b []byte) ([]byte, error) {
			h, err := parseHead(b)
			if err != nil {
				return nil, err
			}
			public := h.public()
			again := slices.Concat(b[:crypto.HeaderSize], []byte{0, 0, byte(len(public) >> 8), byte(len(public))}, public)
			return append(again, b[len(b)-crypto.FrameOverhead:]...), nil
		}},
		{"padding", [][]byte{pad([]byte("payload"), 112), pad(bytes.Repeat([]byte{7}, 300), 112)}, func(b []byte) ([]byte, error) {
			payload, err := unpad(b, 112)
			return pad(bytes.Clone(payload), 112), err
		}},
	}
}

func testID(n byte) (id crypto.ChunkID) {
	for i := range id {
		id[i] = n + byte(i)
	}
	return id
}

func testTable(n int) (segments []segmentEntry) {
	for i := range n {
		s := segmentEntry{raw: uint32(100 * (i + 1)), method: methodStored}
		for j := range i + 1 {
			s.chunks = append(s.chunks, chunkEntry{testID(byte(10*i + j)), 100})
		}
		s.sealed = s.raw + crypto.FrameOverhead
		if i%2 == 1 {
			s.method, s.sealed = methodZstd, s.raw/2
		}
		segments = append(segments, s)
	}
	return segments
}

func testIndexBody() []byte {
	return indexBody([]storedPack{{Name{1}, 5000, testTable(2)}, {Name{2}, 10_000, testTable(3)}})
}

func fullEntry() *Entry {
	return &Entry{
		Name: "fi\xffle", Type: TypeFile, Mode: 0o4755, ModTime: Time{-5, 999_999_999}, ChangeTime: Time{0, 1},
		BirthTime: Time{1 << 40, 0}, Inode: 1<<64 - 1, Device: 24, UID: 1<<32 - 1, GID: 23, User: "ann", Group: "staff",
		Size: 70_000, Content: Content{[]crypto.ChunkID{testID(1), testID(2)}, 1}, Holes: []Range{{0, 10}, {100, 5000}},
		Xattrs: []Xattr{{"user.a", ""}, {"user.b", "\x00"}}, State: StatePartly, Reason: "Ein-/Ausgabefehler",
		Unreadable: []Range{{0, 5}, {200, 300}}, WinAttrs: 0x20, Flags: 1 << 31,
	}
}

func entrySeeds() [][]byte {
	var seeds [][]byte
	for _, e := range []*Entry{
		fullEntry(),
		{Name: "empty", Type: TypeFile},
		{Name: "link", Type: TypeSymlink, Mode: 0o777, Link: "../\xff"},
		{Name: "folder", Type: TypeFolder, Content: Content{[]crypto.ChunkID{testID(3)}, 0}},
		{Name: "locked", Type: TypeFolder, State: StateUnreadable, Reason: "no"},
	} {
		seeds = append(seeds, e.append(nil))
	}
	return seeds
}

func testPage(n int) []byte {
	var body []byte
	for i := range n {
		e := file(strings.Repeat("n", i+1), make([]byte, i*1000))
		if i > 0 {
			e.Content.IDs = []crypto.ChunkID{testID(byte(i))}
		}
		body = e.append(body)
	}
	return appendPage(n, body)
}

func fullSnapshot() *Snapshot {
	s := testSnapshot(9, 3, Name{5})
	s.Root = Content{[]crypto.ChunkID{testID(1)}, 2}
	s.Seen = []Seen{{DeviceID{1}, 7, Name{1}}, {DeviceID{2}, 1 << 40, Name{}}}
	s.Sources, s.Exclude = []string{"/a", "/a\xff"}, []string{"*.tmp", ""}
	return s
}

func fullHead() *Head {
	slot := crypto.PassphraseSlot{MemoryKiB: 65536, Time: 3, Threads: 4, Wrapped: seeded(1, wrappedSize)}
	return &Head{
		Generation: 7, MadeAt: 1_700_000_000, Computer: "ann-laptop", OS: "linux",
		Vault: &VaultSlot{
			Link: "coffer-vault-embedded:00", Computer: "x", Generation: 2, MemoryKiB: 65536, Time: 1, Threads: 1,
			Tries: 10, SetAt: 5, CloudShare: [32]byte{1},
		},
		Passphrase: &PassphraseSlot{PassphraseSlot: slot, SetAt: 6},
	}
}

// serverHead is fullHead with a vault on a network, whose hardware counts.
func serverHead() *Head {
	h := fullHead()
	h.Vault.Link = "coffer-vault://vault.example.org:7443#" + strings.Repeat("A", 42) + "E"
	h.Vault.Guard = [33]byte{2, 7}
	h.Vault.Also = "vault2.example.org:7443 [2001:db8::1]:7443"
	return h
}

// TestMangled holds every parser to one form: each prefix, each cut, each added byte and
// each changed byte of good input is refused, or is another input in good form, which
// encodes to exactly itself.
func TestMangled(t *testing.T) {
	for _, p := range parsers(t) {
		t.Run(p.name, func(t *testing.T) {
			if len(p.good) == 0 {
				t.Fatal("no input")
			}
			for _, good := range p.good {
				mangle(t, p, good)
			}
		})
	}
}

func mangle(t *testing.T, p parser, good []byte) {
	if again, err := p.parse(good); err != nil || !bytes.Equal(again, good) {
		t.Fatalf("good input %x: %v, again %x", good, err, again)
	}
	step := 1 + len(good)/40 // every change of a short input, a part of those of a long one
	for n := range good {
		if _, err := p.parse(good[:n:n]); err == nil {
			t.Errorf("a prefix of %d of %d bytes was taken", n, len(good))
		}
		p.mustBeOneForm(t, slices.Concat(good[:n], good[n+1:]), "byte %d left out", n)
		p.mustBeOneForm(t, good[n:], "the first %d bytes left out", n)
		changed := bytes.Clone(good)
		for x := 1; x < 256; x += step {
			changed[n] = good[n] ^ byte(x)
			p.mustBeOneForm(t, changed, "byte %d changed", n)
		}
	}
	for _, tail := range []byte{0, 1, 0x80, 0xff} {
		if _, err := p.parse(append(bytes.Clone(good), tail)); err == nil {
			t.Errorf("%x behind the end was taken", tail)
		}
	}
}

func (p parser) mustBeOneForm(t *testing.T, in []byte, what string, n int) {
	again, err := p.parse(in)
	if err == nil && !bytes.Equal(again, in) {
		t.Errorf(what+" was taken: %x, again %x", n, in, again)
	}
}

// TestMangledObjects does the same to sealed objects, where no change at all is taken.
func TestMangledObjects(t *testing.T) {
	keys := testKeys(t)
	pack := sealedPack(t, keys)
	for name, object := range map[string]struct {
		stored []byte
		open   func([]byte) error
	}{
		"pack": {pack, func(b []byte) error { return openWholePack(t, keys, b) }},
		"index": {sealIndex(keys, []storedPack{{Name{1}, 5000, testTable(2)}}), func(b []byte) error {
			_, err := openIndex(keys, b)
			return err
		}},
		"snapshot": {sealSnapshot(keys, fullSnapshot()), func(b []byte) error {
			_, err := openSnapshot(keys, b)
			return err
		}},
		"head": {sealHead(keys, fullHead()), func(b []byte) error {
			h, err := parseHead(b)
			if err != nil {
				return err
			}
			return h.Verify(keys)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			good := object.stored
			if err := object.open(good); err != nil {
				t.Fatal(err)
			}
			for n := range good {
				if object.open(good[:n:n]) == nil {
					t.Errorf("a prefix of %d bytes was opened", n)
				}
				if object.open(slices.Concat(good[:n], good[n+1:])) == nil {
					t.Errorf("opened without byte %d", n)
				}
				changed := bytes.Clone(good)
				for _, x := range []byte{1, 0x80, byte(1 + rand.IntN(255))} {
					changed[n] = good[n] ^ x
					if object.open(changed) == nil {
						t.Errorf("opened with byte %d changed by %#x", n, x)
					}
				}
			}
			if object.open(append(bytes.Clone(good), 0)) == nil {
				t.Error("opened with a byte behind the end")
			}
		})
	}
}

// sealedPack returns a small pack of two segments, one of each method.
func sealedPack(t *testing.T, keys *crypto.Keys) []byte {
	t.Helper()
	w := &Writer{repo: &Repository{keys: keys}}
	b := w.NewBundle()
	var p packBuilder
	p.start(keys, 1<<10)
	for _, raw := range [][]byte{[]byte("short"), bytes.Repeat([]byte("compress me "), 20)} {
		plain, method := b.compress(raw)
		if err := p.add(plain, uint32(len(raw)), method, []chunkEntry{{b.hasher.Sum(raw), uint32(len(raw))}}); err != nil {
			t.Fatal(err)
		}
	}
	if p.segments[0].method != methodStored || p.segments[1].method != methodZstd {
		t.Fatal("the pack does not hold both methods")
	}
	return bytes.Clone(p.finish())
}

// openWholePack opens every frame of a pack.
func openWholePack(t *testing.T, keys *crypto.Keys, stored []byte) error {
	t.Helper()
	o, table, err := parsePack(keys, stored)
	if err != nil {
		return err
	}
	r := &Repository{keys: keys}
	r.hashers.New = func() any { return keys.NewChunkHasher() }
	r.decoders.New = newDecoder
	at := uint32(crypto.HeaderSize)
	for i, s := range table {
		if !r.segmentWhole(o, stored[at:at+s.sealed], uint32(i), segmentPlace{at, s.sealed, s.raw, s.method}, s.chunks) {
			return ErrDamaged
		}
		at += s.sealed
	}
	return nil
}

// FuzzParsers: what parses, encodes to the same bytes.
func FuzzEntry(f *testing.F)    { fuzz(f, "entry") }
func FuzzPage(f *testing.F)     { fuzz(f, "page") }
func FuzzSnapshot(f *testing.F) { fuzz(f, "snapshot") }
func FuzzTable(f *testing.F)    { fuzz(f, "table") }
func FuzzIndex(f *testing.F)    { fuzz(f, "index") }
func FuzzHead(f *testing.F)     { fuzz(f, "head") }
func FuzzPadding(f *testing.F)  { fuzz(f, "padding") }

func fuzz(f *testing.F, name string) {
	all := parsers(f)
	p := all[slices.IndexFunc(all, func(p parser) bool { return p.name == name })]
	for _, good := range p.good {
		f.Add(good)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if again, err := p.parse(in); err == nil && !bytes.Equal(again, in) {
			t.Errorf("taken: %x, again %x", in, again)
		}
	})
}

// TestCBORForms refuses what is CBOR but not deterministic, or not ours.
func TestCBORForms(t *testing.T) {
	entry := func(b []byte) error { _, err := ParseEntry(b); return err }
	snapshot := func(b []byte) error { _, err := parseSnapshot(b); return err }
	const start = "a7 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00" // a file called a, all else zero
	if err := entry(unhex(t, start)); err != nil {
		t.Fatalf("the input that all others vary: %v", err)
	}
	whole := hex.EncodeToString(testSnapshot(1, 1, Name{}).body())
	for name, c := range map[string]struct {
		parse func([]byte) error
		in    string
	}{
		"longer integer, one byte":     {entry, "a7 01 41 61 02 00 03 1800 04 82 00 00 07 00 08 00 0b 00"},
		"longer integer, two bytes":    {entry, "a7 01 41 61 02 00 03 1900ff 04 82 00 00 07 00 08 00 0b 00"},
		"longer integer, four bytes":   {entry, "a7 01 41 61 02 00 03 1a0000ffff 04 82 00 00 07 00 08 00 0b 00"},
		"longer integer, eight bytes":  {entry, "a7 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 1b00000000ffffffff"},
		"longer length":                {entry, "a7 01 5801 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"longer count of a map":        {entry, "b807 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"longer count of an array":     {entry, "a7 01 41 61 02 00 03 00 04 9802 00 00 07 00 08 00 0b 00"},
		"longer key":                   {entry, "a7 1801 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"reserved length":              {entry, "a7 01 41 61 02 00 03 1c 04 82 00 00 07 00 08 00 0b 00"},
		"indefinite map":               {entry, "bf 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 ff"},
		"indefinite array":             {entry, "a7 01 41 61 02 00 03 00 04 9f 00 00 ff 07 00 08 00 0b 00"},
		"indefinite bytes":             {entry, "a7 01 5f 41 61 ff 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"keys not ascending":           {entry, "a7 01 41 61 03 00 02 00 04 82 00 00 07 00 08 00 0b 00"},
		"a key twice":                  {entry, "a8 01 41 61 02 00 03 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a key missing":                {entry, "a6 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00"},
		"an unknown key":               {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 18 18 00"},
		"key zero":                     {entry, "a8 00 00 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a text key":                   {entry, "a7 61 31 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a negative key":               {entry, "a8 20 00 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a tag":                        {entry, "a7 01 41 61 02 00 03 00 04 c1 82 00 00 07 00 08 00 0b 00"},
		"a half float":                 {entry, "a7 01 41 61 02 00 03 f90000 04 82 00 00 07 00 08 00 0b 00"},
		"a double in a time":           {entry, "a7 01 41 61 02 00 03 00 04 82 fb0000000000000000 00 07 00 08 00 0b 00"},
		"null":                         {entry, "a7 01 41 61 02 00 03 f6 04 82 00 00 07 00 08 00 0b 00"},
		"false":                        {entry, "a7 01 41 61 02 f4 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"text for bytes":               {entry, "a7 01 61 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"negative size":                {entry, "a7 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 20"},
		"size beyond 63 bits":          {entry, "a7 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 1b8000000000000000"},
		"seconds beyond 63 bits":       {entry, "a7 01 41 61 02 00 03 00 04 82 3b8000000000000000 00 07 00 08 00 0b 00"},
		"a whole second of nanos":      {entry, "a7 01 41 61 02 00 03 00 04 82 00 1a3b9aca00 07 00 08 00 0b 00"},
		"three numbers in a time":      {entry, "a7 01 41 61 02 00 03 00 04 83 00 00 00 07 00 08 00 0b 00"},
		"mode beyond 07777":            {entry, "a7 01 41 61 02 00 03 191000 04 82 00 00 07 00 08 00 0b 00"},
		"type 3":                       {entry, "a7 01 41 61 02 03 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"user id beyond 32 bits":       {entry, "a7 01 41 61 02 00 03 00 04 82 00 00 07 1b0000000100000000 08 00 0b 00"},
		"zero changed time":            {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 05 82 00 00 07 00 08 00 0b 00"},
		"zero inode":                   {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 06 00 07 00 08 00 0b 00"},
		"empty user":                   {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 09 40 0b 00"},
		"empty group":                  {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0a 40 0b 00"},
		"empty ids":                    {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0c 40"},
		"half an id":                   {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0c 50" + strings.Repeat("00", 16)},
		"depth without ids":            {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0d 01"},
		"depth zero":                   {entry, "a9 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0c 5820" + strings.Repeat("00", 32) + "0d 00"},
		"depth five":                   {entry, "a9 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0c 5820" + strings.Repeat("00", 32) + "0d 05"},
		"no holes":                     {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0e 80"},
		"an empty hole":                {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 05 0e 81 82 00 00"},
		"holes that touch":             {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 05 0e 82 82 00 01 82 01 01"},
		"holes not ascending":          {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 05 0e 82 82 03 01 82 01 01"},
		"a hole past the size":         {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 05 0e 81 82 03 03"},
		"a hole past 63 bits":          {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 05 0e 81 82 01 1b7fffffffffffffff"},
		"a link target of a file":      {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0f 41 61"},
		"no attributes":                {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 11 80"},
		"attributes not ascending":     {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 11 82 82 41 62 40 82 41 61 40"},
		"an attribute twice":           {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 11 82 82 41 61 40 82 41 61 40"},
		"an attribute without a name":  {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 11 81 82 40 40"},
		"state zero":                   {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 12 00"},
		"state four":                   {entry, "a9 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 12 04 13 61 61"},
		"unreadable without a reason":  {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 12 03"},
		"a reason of nothing":          {entry, "a8 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 13 61 61"},
		"a reason that is not UTF-8":   {entry, "a9 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 12 03 13 61 ff"},
		"unreadable, yet with content": {entry, "aa 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 0c 5820" + strings.Repeat("00", 32) + "12 03 13 61 61"},
		"partly, but no range":         {entry, "a9 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00 12 02 13 61 61"},
		"a range that is no hole":      {entry, "aa 01 41 61 02 00 03 00 04 82 00 00 07 00 08 00 0b 05 12 02 13 61 61 14 81 82 00 01"},
		"a name of nothing":            {entry, "a7 01 40 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"the name dot":                 {entry, "a7 01 41 2e 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"the name dot dot":             {entry, "a7 01 42 2e2e 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a slash in a name":            {entry, "a7 01 42 2f61 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a zero in a name":             {entry, "a7 01 42 6100 02 00 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a folder with a size":         {entry, "a7 01 41 61 02 01 03 00 04 82 00 00 07 00 08 00 0b 00"},
		"a link without a target":      {entry, "a6 01 41 61 02 02 03 00 04 82 00 00 07 00 08 00"},
		"a snapshot with sequence 0":   {snapshot, strings.Replace(whole, "0e01", "0e00", 1)},
		"a later one without previous": {snapshot, strings.Replace(whole, "0e01", "0e02", 1)},
	} {
		in := unhex(t, c.in)
		if name == "a snapshot with sequence 0" && hex.EncodeToString(in) == whole {
			t.Fatal("nothing was replaced")
		}
		if err := c.parse(in); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v, want %v", name, err, errFormat)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEntryCheck: a writer refuses exactly what a reader refuses.
func TestEntryCheck(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	w := mustOpen(t, cloudtest.NewMemory()).NewWriter(t.Context(), nil)
	defer w.Close()
	b := w.NewTreeBundle()
	for name, c := range map[string]struct {
		change func(e *Entry)
		ok     bool
	}{
		"as it is":          {func(*Entry) {}, true},
		"longest name":      {func(e *Entry) { e.Name = long(maxName) }, true},
		"longer name":       {func(e *Entry) { e.Name = long(maxName + 1) }, false},
		"mode":              {func(e *Entry) { e.Mode = 0o10000 }, false},
		"type":              {func(e *Entry) { e.Type = 3 }, false},
		"nanoseconds":       {func(e *Entry) { e.ModTime.Nsec = 1e9 }, false},
		"birth nanoseconds": {func(e *Entry) { e.BirthTime.Nsec = 1e9 }, false},
		"longest user":      {func(e *Entry) { e.User = long(maxName) }, true},
		"longer user":       {func(e *Entry) { e.User = long(maxName + 1) }, false},
		"longer group":      {func(e *Entry) { e.Group = long(maxName + 1) }, false},
		"reason not UTF-8":  {func(e *Entry) { e.Reason = "\xff" }, false},
		"longer reason":     {func(e *Entry) { e.Reason = long(maxName + 1) }, false},
		"negative size":     {func(e *Entry) { e.Size = -1 }, false},
		"depth":             {func(e *Entry) { e.Content.Depth = 5 }, false},
		"negative depth":    {func(e *Entry) { e.Content.Depth = -1 }, false},
		"state":             {func(e *Entry) { e.State = 4 }, false},
		"link of a file":    {func(e *Entry) { e.Link = "x" }, false},
		"holes":             {func(e *Entry) { e.Holes = manyHoles(maxHoles); e.Size = 1 << 20 }, true},
		"more holes":        {func(e *Entry) { e.Holes = manyHoles(maxHoles + 1); e.Size = 1 << 20 }, false},
		"negative hole":     {func(e *Entry) { e.Holes[0].Length = -1 }, false},
		"attribute name":    {func(e *Entry) { e.Xattrs[0].Name = long(maxName + 1) }, false},
		"attributes":        {func(e *Entry) { e.Xattrs = []Xattr{{"a", long(maxXattrs - 1)}} }, true},
		"more attributes":   {func(e *Entry) { e.Xattrs = []Xattr{{"a", long(maxXattrs)}} }, false},
		"as a folder":       {func(e *Entry) { e.Type = TypeFolder }, false},
		"as a link":         {func(e *Entry) { *e = Entry{Name: "l", Type: TypeSymlink, Link: long(maxLink)} }, true},
		"longer link":       {func(e *Entry) { *e = Entry{Name: "l", Type: TypeSymlink, Link: long(maxLink + 1)} }, false},
		"changed link":      {func(e *Entry) { *e = Entry{Name: "l", Type: TypeSymlink, State: StateChanged} }, false},
		"link with content": {func(e *Entry) { *e = Entry{Name: "l", Type: TypeSymlink, Content: e.Content} }, false},
	} {
		e := fullEntry()
		e.State, e.Reason, e.Unreadable = StateOK, "", nil
		c.change(e)
		err := e.Check()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, errFormat) {
			t.Errorf("%s: %v, want it taken: %t", name, err, c.ok)
		}
		got, parseErr := ParseEntry(e.AppendCBOR(nil))
		if readable := parseErr == nil && got.Equal(e); err == nil && !readable {
			t.Errorf("%s: a writer takes it, a reader gives %v", name, parseErr)
		}
		if err := b.NewFolder().Add(e); (err == nil) != c.ok {
			t.Errorf("%s: Add: %v, want it taken: %t", name, err, c.ok)
		}
	}
}

func manyHoles(n int) (holes []Range) {
	for i := range n {
		holes = append(holes, Range{int64(i) * 100, 50})
	}
	return holes
}

// TestTableLimits refuses tables whose numbers do not add up.
func TestTableLimits(t *testing.T) {
	for name, change := range map[string]func(s *segmentEntry){
		"no chunk":                 func(s *segmentEntry) { s.chunks = nil },
		"chunk of no bytes":        func(s *segmentEntry) { s.chunks[0].length = 0 },
		"chunk of more than 4 MiB": func(s *segmentEntry) { s.chunks[0].length = maxChunk + 1; s.raw = maxChunk + 1; s.sealed = s.raw + 16 },
		"raw of more than 8 MiB":   func(s *segmentEntry) { s.raw++; s.sealed++ },
		"sealed too long":          func(s *segmentEntry) { s.sealed++ },
		"sealed too short":         func(s *segmentEntry) { s.sealed-- },
		"method 2":                 func(s *segmentEntry) { s.method = 2 },
		"compressed and not less":  func(s *segmentEntry) { s.method = methodZstd },
		"compressed to nothing":    func(s *segmentEntry) { s.method, s.sealed = methodZstd, 16 },
		"sum past 32 bits":         func(s *segmentEntry) { s.raw = 1<<32 - 8; s.sealed = 8 },
	} {
		s := segmentEntry{raw: maxRaw, sealed: maxRaw + 16, chunks: []chunkEntry{{testID(1), maxChunk}, {testID(2), maxChunk}}}
		good := tableReader{b: appendTable(nil, []segmentEntry{s})}
		if good.table(); good.failed {
			t.Fatal("the table that all others vary was refused")
		}
		change(&s)
		r := tableReader{b: appendTable(nil, []segmentEntry{s})}
		if r.table(); !r.failed {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestNames: one object has one name.
func TestNames(t *testing.T) {
	good := Name(seeded(1, 20))
	if got, ok := ParseName(good.String()); !ok || got != good {
		t.Errorf("%v: %v, %t", good, got, ok)
	}
	for _, bad := range []string{"", "00", strings.ToUpper(good.String()), good.String() + "0", good.String()[1:], "g" + good.String()[1:], "snap-" + good.String()} {
		if _, ok := ParseName(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}
