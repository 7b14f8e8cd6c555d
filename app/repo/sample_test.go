package repo

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

var makeSample = flag.Bool("make-sample", false, "write docs/testdata/sample-v1 anew; only for a new format version")

// The sample is a repository of format 1 that every later Coffer must read. Its key is public.
const (
	samplePlace      = "../../docs/testdata/sample-v1"
	sampleKey        = "../../docs/testdata/sample-v1.key"
	sampleExpected   = "../../docs/testdata/sample-v1.expected.json"
	samplePassphrase = "quiet harbour seven lanterns over slate"
	sampleLimit      = 200_000 // bytes of the whole folder
)

// The shape of sample-v1.expected.json.
type (
	expectedSample struct {
		Comment    string
		RootKey    string
		Passphrase string
		Heads      []expectedHead
		Snapshots  []expectedSnapshot
	}
	expectedHead struct {
		Name, Computer, OS string
		Generation         uint64
		MadeAt             int64
		Vault              map[string]any
	}
	expectedSnapshot struct {
		Name, Device, Computer, OS, User, Tool string
		Started, Ended                         [2]int64
		Sources                                []string // base64
		Exclude                                []string
		Sequence                               uint64
		Previous                               string     `json:",omitempty"`
		Seen                                   [][]string `json:",omitempty"` // device, sequence, name
		Files, Folders, Bytes, Unreadable      int64
		Entries                                []expectedEntry
	}
	// Bytes are base64; the text beside a path is for people and lacks what is not UTF-8.
	expectedEntry struct {
		Path       string      `json:"path_base64"`
		Text       string      `json:"path"`
		Type       string      `json:"type"`
		Mode       uint32      `json:"mode"`
		MTime      [2]int64    `json:"mtime"`
		CTime      *[2]int64   `json:"ctime,omitempty"`
		BTime      *[2]int64   `json:"btime,omitempty"`
		UID        uint32      `json:"uid"`
		GID        uint32      `json:"gid"`
		User       string      `json:"user,omitempty"`
		Group      string      `json:"group,omitempty"`
		Size       *int64      `json:"size,omitempty"`
		SHA256     string      `json:"sha256,omitempty"`
		Chunks     int         `json:"chunks,omitempty"`
		Depth      int         `json:"depth,omitempty"`
		Link       string      `json:"link_base64,omitempty"`
		Inode      uint64      `json:"inode,omitempty"`
		Device     uint64      `json:"device,omitempty"`
		Holes      [][2]int64  `json:"holes,omitempty"`
		Xattrs     [][2]string `json:"xattrs_base64,omitempty"`
		State      uint8       `json:"state,omitempty"`
		Reason     string      `json:"reason,omitempty"`
		Unreadable [][2]int64  `json:"unreadable,omitempty"`
		WinAttrs   uint32      `json:"windows_attributes,omitempty"`
		Flags      uint32      `json:"flags,omitempty"`
	}
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func pair(t Time) [2]int64 { return [2]int64{t.Sec, int64(t.Nsec)} }

func optPair(t Time) *[2]int64 {
	if t == (Time{}) {
		return nil
	}
	p := pair(t)
	return &p
}

func pairs(rs []Range) (out [][2]int64) {
	for _, r := range rs {
		out = append(out, [2]int64{r.Offset, r.Length})
	}
	return out
}

func expectEntry(path string, f found) expectedEntry {
	e := expectedEntry{
		Path: b64(path), Text: strings.ToValidUTF8(path, string(utf8.RuneError)),
		Type: [3]string{"file", "folder", "symlink"}[f.Type], Mode: f.Mode, MTime: pair(f.ModTime),
		CTime: optPair(f.ChangeTime), BTime: optPair(f.BirthTime), UID: f.UID, GID: f.GID, User: f.User, Group: f.Group,
		SHA256: f.SHA256, Chunks: len(f.Content.IDs), Depth: f.Content.Depth, Link: b64(f.Link), Inode: f.Inode,
		Device: f.Device, Holes: pairs(f.Holes), State: uint8(f.State), Reason: f.Reason, Unreadable: pairs(f.Unreadable),
		WinAttrs: f.WinAttrs, Flags: f.Flags,
	}
	if f.Type == TypeFile {
		e.Size = &f.Size
	}
	for _, x := range f.Xattrs {
		e.Xattrs = append(e.Xattrs, [2]string{b64(x.Name), b64(x.Value)})
	}
	return e
}

func expectSnapshot(s *Snapshot, tree map[string]found) expectedSnapshot {
	e := expectedSnapshot{
		Name: s.Name.String(), Device: hex.EncodeToString(s.Device[:]), Computer: s.Computer, OS: s.OS, User: s.User, Tool: s.Tool,
		Started: pair(s.Started), Ended: pair(s.Ended), Exclude: s.Exclude, Sequence: s.Sequence,
		Files: s.Files, Folders: s.Folders, Bytes: s.Bytes, Unreadable: s.Unreadable,
	}
	if s.Sequence > 1 {
		e.Previous = s.Previous.String()
	}
	for _, p := range s.Sources {
		e.Sources = append(e.Sources, b64(p))
	}
	for _, v := range s.Seen {
		e.Seen = append(e.Seen, []string{hex.EncodeToString(v.Device[:]), fmt.Sprint(v.Sequence), v.Name.String()})
	}
	for path, f := range tree {
		e.Entries = append(e.Entries, expectEntry(path, f))
	}
	slices.SortFunc(e.Entries, func(a, b expectedEntry) int { return strings.Compare(a.Path, b.Path) })
	return e
}

func expectHead(h *Head) expectedHead {
	e := expectedHead{Name: h.Name.String(), Computer: h.Computer, OS: h.OS, Generation: h.Generation, MadeAt: h.MadeAt}
	if v := h.Vault; v != nil {
		e.Vault = map[string]any{
			"link": v.Link, "vault_id": hex.EncodeToString(v.VaultID[:]), "server_key": hex.EncodeToString(v.ServerKey[:]),
			"computer": v.Computer, "record": hex.EncodeToString(v.Record[:]), "generation": float64(v.Generation),
			"cloud_share": hex.EncodeToString(v.CloudShare[:]), "memory_kib": float64(v.MemoryKiB), "passes": float64(v.Time),
			"lanes": float64(v.Threads), "tries": float64(v.Tries), "set_at": float64(v.SetAt),
		}
	}
	return e
}

// TestSample opens the frozen repository, for ever.
func TestSample(t *testing.T) {
	if *makeSample {
		writeSample(t)
	}
	text, err := os.ReadFile(sampleExpected)
	if err != nil {
		t.Fatal(err)
	}
	var want expectedSample
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	place, root := loadSample(t)
	if hex.EncodeToString(exposeRoot(root)) != want.RootKey {
		t.Error("the key file and the expected contents name different keys")
	}
	store, keys := newStore(t, place), root.Derive()
	r, err := Open(t.Context(), store, keys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Problems(); len(p) > 0 {
		t.Errorf("problems: %v", p)
	}
	snapshots := mustSnapshots(t, r)
	if len(snapshots) != len(want.Snapshots) || len(snapshots) != 3 {
		t.Fatalf("%d snapshots, want %d", len(snapshots), len(want.Snapshots))
	}
	for i, s := range snapshots {
		tree, err := readTree(t.Context(), r, s.Root)
		if err != nil {
			t.Fatal(err)
		}
		compareJSON(t, "snapshot "+s.Name.String(), expectSnapshot(s, tree), want.Snapshots[i])
	}
	report, err := Check(t.Context(), store, keys, CheckOptions{Percent: 100})
	if err != nil || len(report.Damaged) > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// TestSampleWaysIn opens the sample with the passphrase in its head.
func TestSampleWaysIn(t *testing.T) {
	place, root := loadSample(t)
	text, err := os.ReadFile(sampleExpected)
	if err != nil {
		t.Fatal(err)
	}
	var want expectedSample
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	heads, err := ReadHeads(t.Context(), newStore(t, place))
	if err != nil || len(heads) != 1 || len(want.Heads) != 1 {
		t.Fatalf("%d heads, want 1: %v", len(heads), err)
	}
	h := heads[0]
	if err := h.Verify(root.Derive()); err != nil {
		t.Error(err)
	}
	compareJSON(t, "head", expectHead(&h), want.Heads[0])
	if h.Passphrase == nil || h.Vault == nil {
		t.Fatal("the head of the sample lacks a way in")
	}
	got, err := h.Passphrase.Open(crypto.NewSecret([]byte(want.Passphrase)), h.Repository)
	if err != nil || !got.Equal(root) {
		t.Errorf("the passphrase does not open the sample: %v", err)
	}
}

func compareJSON(t *testing.T, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	at := 0
	for at < min(len(g), len(w)) && g[at] == w[at] {
		at++
	}
	from := max(0, at-100)
	t.Errorf("%s differs:\ngot  ...%.300s\nwant ...%.300s", what, g[from:], w[from:])
}

func mustSnapshots(t testing.TB, r *Repository) []*Snapshot {
	t.Helper()
	all, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b *Snapshot) int { return int(a.Started.Sec - b.Started.Sec) })
	return all
}

func exposeRoot(root crypto.RootKey) (b []byte) {
	root.Expose(func(k []byte) { b = bytes.Clone(k) })
	return b
}

// loadSample returns a copy of the sample in memory, and its key.
func loadSample(t testing.TB) (*cloudtest.Memory, crypto.RootKey) {
	t.Helper()
	digits, err := os.ReadFile(sampleKey)
	if err != nil {
		t.Fatal(err)
	}
	root, err := crypto.ParseRecoveryKey(digits)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(samplePlace)
	if err != nil || len(files) < 5 {
		t.Fatalf("the sample has %d files: %v", len(files), err)
	}
	place := cloudtest.NewMemory()
	size := 0
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(samplePlace, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		size += len(data)
		place.Set(f.Name(), data)
	}
	if size > sampleLimit {
		t.Errorf("the sample has %d bytes, more than %d", size, sampleLimit)
	}
	return place, root
}

// writeSample makes the sample with the Writer of today.
func writeSample(t *testing.T) {
	place := cloudtest.NewMemory()
	root := mustRoot(t, 0x40)
	keys := root.Derive()
	store := newStore(t, place)
	sampleHead(t, place, root)
	if err := WriteReadme(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	ann := []byte("ann's laptop 016")
	one := sampleBackup(t, place, keys, DeviceID(ann), 1, nil)
	two := sampleBackup(t, place, keys, DeviceID(ann), 2, []*Snapshot{one})
	three := sampleBackup(t, place, keys, DeviceID([]byte("bob's desktop 16")), 1, []*Snapshot{two})

	want := expectedSample{
		Comment: "What docs/testdata/sample-v1 holds. Names, link targets and attributes are base64 of raw bytes; " +
			"sha256 is of a file with its holes as zeros; chunks and depth describe the content list. The key is public test data.",
		RootKey: hex.EncodeToString(exposeRoot(root)), Passphrase: samplePassphrase,
	}
	heads, err := ReadHeads(t.Context(), store)
	if err != nil || len(heads) != 1 {
		t.Fatalf("%d heads: %v", len(heads), err)
	}
	want.Heads = []expectedHead{expectHead(&heads[0])}
	r, err := Open(t.Context(), store, keys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []*Snapshot{one, two, three} {
		want.Snapshots = append(want.Snapshots, expectSnapshot(s, flatten(t, sampleTree(t, keys, i, r, s))))
	}
	saveSample(t, place, want)
}

// sampleHead stores a head with both ways in.
func sampleHead(t *testing.T, place *cloudtest.Memory, root crypto.RootKey) {
	cheap := crypto.KDFCost{MemoryKiB: 64 << 10, Time: 1, Threads: 1} // the least that a reader takes
	slot, err := crypto.NewPassphraseSlot(root, crypto.NewSecret([]byte(samplePassphrase)), cheap)
	if err != nil {
		t.Fatal(err)
	}
	v := &VaultSlot{Computer: "ann-laptop", Generation: 3, MemoryKiB: 256 << 10, Time: 3, Threads: 4, Tries: 10, SetAt: 1_750_000_002}
	copy(v.VaultID[:], seeded(1, 16))
	copy(v.ServerKey[:], append([]byte{2}, seeded(2, 32)...))
	copy(v.Record[:], seeded(3, 16))
	copy(v.CloudShare[:], seeded(4, 32))
	copy(v.ReceiptKey[:], seeded(5, 32))
	v.Link = "coffer-vault-embedded:" + hex.EncodeToString(v.VaultID[:])
	h := Head{
		MadeAt: 1_750_000_000, Computer: "ann-laptop", OS: "linux", Vault: v,
		Passphrase: &PassphraseSlot{PassphraseSlot: slot, SetAt: 1_750_000_001},
	}
	if _, err := WriteHead(t.Context(), newStore(t, place), root.Derive(), h); err != nil {
		t.Fatal(err)
	}
}

func sampleBackup(t *testing.T, place *cloudtest.Memory, keys *crypto.Keys, device DeviceID, sequence uint64, before []*Snapshot) *Snapshot {
	r, err := Open(t.Context(), newStore(t, place), keys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := testSnapshot(0, sequence, Name{})
	s.Device, s.Tool, s.Exclude = device, "coffer sample generator", []string{"*.tmp", "node_modules/"}
	run := 0
	for _, p := range before {
		run = 1
		if p.Device == device {
			s.Previous = p.Name
			continue
		}
		run = 2
		s.Seen = append(s.Seen, Seen{p.Device, p.Sequence, p.Name})
		s.Computer, s.User, s.Sources = "BOB-PC", "Боб", []string{`C:\Users\Bob`}
		s.OS = "windows"
	}
	s.Started.Sec, s.Ended.Sec = 1_750_000_100+int64(run)*86_400, 1_750_000_160+int64(run)*86_400
	nodes := sampleTree(t, keys, run, nil, nil)
	s.Files, s.Folders, s.Bytes, s.Unreadable = 0, 0, 0, 0
	for _, f := range flatten(t, nodes) {
		switch f.Type {
		case TypeFile:
			s.Files++
			s.Bytes += f.Size
		case TypeFolder:
			s.Folders++
		}
		if f.State >= StatePartly {
			s.Unreadable++
		}
	}
	if err := backup(t.Context(), r, s, nodes...); err != nil {
		t.Fatal(err)
	}
	return s
}

// sampleTree returns the tree of run 0, 1 (the same device later) or 2 (the other
// device). With a repository, contents are filled in from the stored snapshot, and
// only they: all else that a reader finds is compared with what was meant.
func sampleTree(t *testing.T, keys *crypto.Keys, run int, r *Repository, s *Snapshot) []*node {
	var nodes []*node
	if run == 2 {
		bob := folder("Bob", file("Lebenslauf.txt", []byte("Geboren, zur Schule gegangen, Datensicherung gemacht.\n")), sampleDatabase())
		bob.WinAttrs, bob.BirthTime = 0x12, Time{1_600_000_000, 123_456_700}
		nodes = []*node{folder("C:", folder("Users", bob))}
	} else {
		nodes = []*node{folder("home", folder("ann", sampleAnn(t, keys, run)...))}
	}
	if r == nil {
		return nodes
	}
	stored, err := readTree(t.Context(), r, s.Root)
	if err != nil {
		t.Fatal(err)
	}
	var fill func(path string, nodes []*node)
	fill = func(path string, nodes []*node) {
		for _, n := range nodes {
			n.Content = stored[path+"/"+n.Name].Content
			fill(path+"/"+n.Name, n.children)
		}
	}
	fill("", nodes)
	return nodes
}

func sampleAnn(t *testing.T, keys *crypto.Keys, run int) []*node {
	letter := []byte("Dear Bob,\nthe backup works.\nAnn\n")
	if run == 1 {
		letter = append(letter, "P.S. I tried the restore, too.\n"...)
	}
	note := file("letter.txt", letter)
	note.ModTime.Sec += int64(run)
	note.User, note.Group, note.UID, note.GID = "ann", "staff", 501, 20
	note.Inode, note.ChangeTime, note.BirthTime = 4711, Time{1_749_999_999, 999_999_999}, Time{-1, 5}
	note.Xattrs = []Xattr{{"user.empty", ""}, {"user.origin", "https://example.org/\x00\xff"}}
	note.Flags = 0x8000
	twin := func(name string) *node {
		n := file(name, []byte("one file, two names\n"))
		n.Inode, n.Device = 77, 2049
		return n
	}
	link := &node{Entry: Entry{Name: "latest", Type: TypeSymlink, Mode: 0o777, ModTime: Time{1_700_000_002, 0}, Link: "../ann/let\xffter\n.txt"}}
	all := []*node{
		note, twin("twin-a"), twin("twin-b"), link, file("empty", nil), sampleSparse(), samplePartly(), sampleText(t, keys),
		sampleDatabase(), sampleScripts(), sampleMany(keys), folder("empty folder"),
		{Entry: Entry{Name: "locked", Type: TypeFile, Mode: 0, ModTime: Time{1_700_000_003, 0}, Size: 12345, State: StateUnreadable, Reason: "permission denied"}},
		{Entry: Entry{Name: "locked folder", Type: TypeFolder, Mode: 0o4755, ModTime: Time{1_700_000_004, 0}, State: StateUnreadable, Reason: "permission denied"}},
	}
	if run == 1 {
		all = slices.DeleteFunc(all, func(n *node) bool { return n.Name == "empty" })
		changing := file("changing.log", []byte("written while it was read\n"))
		changing.State = StateChanged
		all = append(all, changing)
	}
	return all
}

func sampleScripts() *node {
	return folder("文書", file("Grüße.txt", []byte("Äpfel\n")), file("привет.txt", []byte("да\n")), file("שלום", []byte("כן\n")),
		file("two\nlines", []byte("a newline in the name\n")), file("bad \xff\xfe utf-8", []byte("bytes are bytes\n")),
		file("lone surrogate \xed\xa0\x80", []byte("WTF-8\n")), file("😀", []byte("emoji\n")), file(strings.Repeat("long", 63), []byte("252 bytes\n")))
}

// sampleSparse has a hole at its start, in the middle and at its end.
func sampleSparse() *node {
	n := file("sparse.img", []byte("island one; island two"))
	n.Holes = []Range{{0, 65536}, {65536 + 10, 1 << 20}, {65536 + 22 + 1<<20, 4096}}
	n.Size += n.HoleBytes()
	return n
}

func samplePartly() *node {
	n := file("bad sector.bin", bytes.Repeat([]byte("readable "), 1000))
	n.Holes = []Range{{4096, 8192}, {16384, 512}}
	n.Unreadable = []Range{{4096 + 512, 512}, {16384, 512}}
	n.Size += n.HoleBytes()
	n.State, n.Reason = StatePartly, "input/output error"
	return n
}

// sampleDatabase has more blocks than a content list keeps in place.
func sampleDatabase() *node {
	data := make([]byte, 70*DatabaseBlock+100)
	for i := range 70 {
		copy(data[i*DatabaseBlock:], fmt.Sprintf("page %d of a database", i))
	}
	copy(data, "SQLite format 3\x00")
	return file("photos.sqlite", data)
}

// sampleText is several chunks of words from a small list: it compresses, and yet has
// places to cut.
func sampleText(t *testing.T, keys *crypto.Keys) *node {
	chunker := NewChunker(keys)
	for seed := range uint64(100) {
		data := wordy(seed, 64, 256, 5<<19)
		n := 0
		for rest := data; len(rest) > 0; n++ {
			rest = rest[chunker.Cut(rest[:min(len(rest), maxChunk)]):]
		}
		if n == 3 {
			return file("long.txt", data)
		}
	}
	t.Fatal("no seed gives three chunks")
	return nil
}

func wordy(seed uint64, words, length, size int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	list := make([][]byte, words)
	for i := range list {
		list[i] = make([]byte, length)
		for j := range list[i] {
			list[i][j] = 'a' + byte(random.IntN(26))
		}
	}
	data := make([]byte, 0, size+length)
	for len(data) < size {
		data = append(data, list[random.IntN(words)]...)
	}
	return data[:size]
}

// sampleMany is a folder of three pages: the names are chosen so that two pages end at one.
func sampleMany(keys *crypto.Keys) *node {
	hasher := keys.NewChunkHasher()
	for try := 0; ; try++ {
		var files []*node
		var ends []int
		for i := range 300 {
			name := fmt.Sprintf("receipt %03d, %s %d.txt", i, strings.Repeat("very ", 20)+"long name", try)
			if id := hasher.Sum([]byte(name)); id[31] == 0 {
				ends = append(ends, i)
			}
			files = append(files, file(name, fmt.Appendf(nil, "receipt number %d\n", i)))
		}
		// An entry has more than 190 bytes, so 90 of them fill the least page.
		if len(ends) == 2 && ends[0] > 90 && ends[1] > ends[0]+90 && ends[1] < 290 {
			return folder("receipts", files...)
		}
	}
}

func saveSample(t *testing.T, place *cloudtest.Memory, want expectedSample) {
	if err := os.RemoveAll(samplePlace); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(samplePlace, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range place.Names() {
		if err := os.WriteFile(filepath.Join(samplePlace, name), place.Data(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(sampleKey, []byte(want.RootKey+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(want); err != nil {
		t.Fatal(err)
	}
	// An entry a line, for people and for git.
	lines := strings.ReplaceAll(out.String(), `{"path_base64"`, "\n{\"path_base64\"")
	if err := os.WriteFile(sampleExpected, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
}
