package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the vectors")

const vectorFile = "../../docs/testdata/vectors/vault.json"

// A codec is one kind of message: how to parse it, and a sample.
type codec struct {
	name   string
	sample []byte
	parse  func([]byte) ([]byte, error) // parses and encodes again
}

func newCodec[M any](name string, prefix Prefix) codec {
	m := new(M)
	sample := make([]byte, binary.Size(m))
	for i := range sample {
		sample[i] = byte(i * 7)
	}
	copy(sample, Encode(&prefix))
	return codec{name, sample, func(b []byte) ([]byte, error) {
		m, err := Parse[M](prefix, b)
		if err != nil {
			return nil, err
		}
		return Encode(m), nil
	}}
}

// newVariable is newCodec for a message that ends in something of no fixed size.
func newVariable[M any](name string, prefix Prefix, limit int) codec {
	head := new(M)
	signatures := 0
	if prefix.Kind&replyBit == 0 {
		signatures = Of(prefix.Kind).Signatures()
	}
	sample := EncodeVariable(head, []byte("something of no fixed size"), signatures)
	copy(sample, Encode(&prefix))
	return codec{name, sample, func(b []byte) ([]byte, error) {
		m, variable, err := ParseVariable[M](prefix, b, limit, signatures)
		if err != nil {
			return nil, err
		}
		again := EncodeVariable(m, variable, signatures)
		copy(again[len(again)-signatures*len(Signature{}):], b[len(b)-signatures*len(Signature{}):])
		return again, nil
	}}
}

func codecs() []codec {
	return []codec{
		newCodec[Begin]("begin", NewPrefix(KindBegin)),
		newCodec[Commit]("commit", NewPrefix(KindCommit)),
		newCodec[Attempt]("attempt", NewPrefix(KindAttempt)),
		newCodec[Expose]("expose", NewPrefix(KindExpose)),
		newCodec[Finish]("finish", NewPrefix(KindFinish)),
		newCodec[Status]("status", NewPrefix(KindStatus)),
		newCodec[Act]("reset", NewPrefix(KindReset)),
		newCodec[Act]("freeze", NewPrefix(KindFreeze)),
		newCodec[Act]("unfreeze", NewPrefix(KindUnfreeze)),
		newCodec[Act]("destroy", NewPrefix(KindDestroy)),
		newCodec[Act]("log", NewPrefix(KindLog)),
		newCodec[Evidence]("evidence", NewPrefix(KindEvidence)),
		newCodec[Act]("challenge", NewPrefix(KindChallenge)),
		newCodec[Arm]("arm", NewPrefix(KindArm)),
		newCodec[Act]("anchor", NewPrefix(KindAnchor)),
		newVariable[Admit]("admit", NewPrefix(KindAdmit), MaxAdmission),
		newVariable[PutAnchor]("put anchor", NewPrefix(KindPutAnchor), MaxAnchor),
		newVariable[EvidenceReply]("evidence reply", KindEvidence.Reply(), MaxEvidence),
		newVariable[ChallengeReply]("challenge reply", KindChallenge.Reply(), MaxChallenge),
		newVariable[AnchorReply]("anchor reply", KindAnchor.Reply(), MaxAnchor),
		newCodec[AdmitReply]("admit reply", KindAdmit.Reply()),
		newCodec[BeginReply]("begin reply", KindBegin.Reply()),
		newCodec[Done]("commit reply", KindCommit.Reply()),
		newCodec[AttemptReply]("attempt reply", KindAttempt.Reply()),
		newCodec[FinishReply]("finish reply", KindFinish.Reply()),
		newCodec[StatusReply]("status reply", KindStatus.Reply()),
		newCodec[DestroyReply]("destroy reply", KindDestroy.Reply()),
	}
}

func TestMessagesHaveOneEncoding(t *testing.T) {
	for _, c := range codecs() {
		again, err := c.parse(c.sample)
		if err != nil || !bytes.Equal(again, c.sample) {
			t.Fatalf("%s: a good message: %v", c.name, err)
		}
		for i := range c.sample {
			if _, err := c.parse(c.sample[:i]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: cut at %d: %v", c.name, i, err)
			}
			changed := bytes.Clone(c.sample)
			changed[i] ^= 0x10
			again, err := c.parse(changed)
			if i < 4 && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: changed prefix: %v", c.name, err)
			}
			if i >= 4 && !bytes.Equal(again, changed) && !errors.Is(err, ErrMalformed) { // a changed length
				t.Fatalf("%s: changed at %d is read as something else", c.name, i)
			}
		}
		if _, err := c.parse(append(bytes.Clone(c.sample), 0)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%s: one byte more: %v", c.name, err)
		}
		if len(c.sample) > MaxBody {
			t.Fatalf("%s: %d bytes", c.name, len(c.sample))
		}
	}
}

func sampleLog() []byte {
	return EncodeLog([]Event{{At: 1, Kind: EventTry, Generation: 1, Left: 9}, {At: 2, Kind: EventRight, Left: 10}})
}

func TestTheLogHasOneEncoding(t *testing.T) {
	good := sampleLog()
	events, err := ParseLog(good)
	if err != nil || len(events) != 2 || !bytes.Equal(EncodeLog(events), good) {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for i := range good {
		if _, err := ParseLog(good[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if full := EncodeLog(make([]Event, MaxEvents)); len(full) > MaxBody {
		t.Fatalf("a full log has %d bytes", len(full))
	}
	if _, err := ParseLog(EncodeLog(make([]Event, MaxEvents+1))); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a log that is too long: %v", err)
	}
}

func TestSignaturesAreGoodForOneThing(t *testing.T) {
	body := codecs()[0].sample
	capability := SignedBytes(LabelCapability, KindBegin, body)
	if bytes.Equal(capability, SignedBytes(LabelOwner, KindBegin, body)) {
		t.Error("owner and capability sign the same bytes")
	}
	cut := len(body) - 128
	for i := range body {
		changed := bytes.Clone(body)
		changed[i] ^= 1
		same := bytes.Equal(SignedBytes(LabelCapability, KindBegin, changed), capability)
		if same != (i >= cut) {
			t.Fatalf("byte %d: signed: %t", i, !same)
		}
	}
}

func TestCostIsBounded(t *testing.T) {
	good := Cost{MinMemoryKiB, MinTime, MinThreads}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Cost{
		{},
		{MinMemoryKiB - 1, MinTime, MinThreads},
		{MinMemoryKiB, MinTime - 1, MinThreads},
		{MinMemoryKiB, MinTime, MinThreads - 1},
		{MaxMemoryKiB + 1, MinTime, MinThreads},
		{MinMemoryKiB, MaxTime + 1, MinThreads},
		{MinMemoryKiB, MinTime, MaxThreads + 1},
	} {
		if err := bad.Check(); !errors.Is(err, ErrWeakKDF) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestErrorsCrossWithoutTheirText(t *testing.T) {
	for _, row := range errorTable {
		for _, refusal := range []*Refusal{{row.err, -1, 0}, {row.err, 3, time.Minute}} {
			w := httptest.NewRecorder()
			WriteError(w, errors.Join(refusal, errors.New("SECRET-text")))
			if bytes.Contains(w.Body.Bytes(), []byte("SECRET")) || w.Code != row.status {
				t.Fatalf("%s: status %d, body %s", row.code, w.Code, w.Body)
			}
			got := new(Refusal)
			if err := ReadError(w.Result()); !errors.As(err, &got) || !reflect.DeepEqual(got, refusal) {
				t.Fatalf("%s: read back as %v", row.code, err)
			}
		}
	}
	w := httptest.NewRecorder()
	WriteError(w, errors.New("anything else"))
	if err := ReadError(w.Result()); !errors.Is(err, ErrInternal) {
		t.Fatalf("anything else: %v", err)
	}
}

func TestAStrangersErrorLeavesTheOutcomeUnknown(t *testing.T) {
	for _, body := range []string{"", "<html>", `{"code":"wrong-password"}`, `{"code":"future"}`, `{"code":1}`} {
		w := httptest.NewRecorder()
		w.WriteHeader(http.StatusBadGateway)
		w.WriteString(body)
		if err := ReadError(w.Result()); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func sampleInfo() Info {
	return Info{
		VaultID: [16]byte{1}, ServerKey: [33]byte{2}, ReceiptKey: [32]byte{3}, Computer: "ANN-LAPTOP", Tries: 10,
		Waits: []time.Duration{0, time.Minute}, Sealer: "software",
	}
}

func TestInfoCrosses(t *testing.T) {
	got, err := ParseInfo(EncodeInfo(sampleInfo()))
	if err != nil || !reflect.DeepEqual(got, sampleInfo()) {
		t.Fatalf("%+v, %v", got, err)
	}
	raw := EncodeInfo(sampleInfo())
	for i := range raw {
		if _, err := ParseInfo(raw[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	bad := []func(*Info){
		func(i *Info) { i.Tries = 0 }, func(i *Info) { i.Tries = MaxTries + 1 },
		func(i *Info) { i.Waits = []time.Duration{-time.Second} }, func(i *Info) { i.Waits = []time.Duration{MaxWait + time.Second} },
		func(i *Info) { i.Computer = "\x1b[31mred" }, func(i *Info) { i.Sealer = string(make([]byte, 300)) },
	}
	for n, change := range bad {
		i := sampleInfo()
		change(&i)
		if _, err := ParseInfo(EncodeInfo(i)); !errors.Is(err, ErrMalformed) {
			t.Errorf("bad info %d: %v", n, err)
		}
	}
}

// vectors are the facts that another implementation needs to check itself.
func vectors() map[string]string {
	v := map[string]string{}
	for _, c := range codecs() {
		v["message: "+c.name] = hex.EncodeToString(c.sample)
	}
	vault, record := [16]byte{1, 2}, [16]byte{3, 4}
	binding := EmbeddedBinding(vault)
	begin := codecs()[0].sample
	v["message: log reply"] = hex.EncodeToString(sampleLog())
	v["binding of vault 0102"] = hex.EncodeToString(binding[:])
	v["context of vault 0102, record 0304, generation 5, 64 MiB, 3, 4"] = hex.EncodeToString(Context(vault, record, 5, Cost{64 << 10, 3, 4}))
	v["owner signs of begin"] = hex.EncodeToString(SignedBytes(LabelOwner, KindBegin, begin))
	v["capability signs of begin"] = hex.EncodeToString(SignedBytes(LabelCapability, KindBegin, begin))
	v["receipt of vault 0102, record 0304, time 6"] = hex.EncodeToString(ReceiptBytes(vault, record, 6))
	v["associated data of a release: vault 0102, record 0304, generation 5, attempt 07"] = hex.EncodeToString(ReleaseBytes(vault, record, 5, [16]byte{7}))
	return v
}

func TestVectors(t *testing.T) {
	b, err := json.MarshalIndent(vectors(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if b = append(b, '\n'); *update {
		if err := os.WriteFile(vectorFile, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Fatal("the code does not make the vectors: the protocol has changed")
	}
}

func TestNamesThatTrickTheEyeAreNotShown(t *testing.T) {
	for _, good := range []string{"ANN-LAPTOP", "Käthe's computer", "アンのノート", ""} {
		if !Printable(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"a\x1b[2J", "a\nb", "a\u202eb", "a\u2028b", "\u2066a", "\xff", strings.Repeat("a", 256)} {
		if Printable(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestEnvelopesArePaddedInOneWay(t *testing.T) {
	for _, n := range []int{0, 1, 2043, 2044, 2045, MaxBody} {
		padded := Pad(make([]byte, n))
		if len(padded)%2048 != 0 || len(padded) > MaxSealed {
			t.Fatalf("%d bytes are padded to %d", n, len(padded))
		}
		if got, err := Unpad(padded); err != nil || len(got) != n {
			t.Fatalf("%d bytes: %d, %v", n, len(got), err)
		}
		for _, bad := range [][]byte{padded[:len(padded)-1], append(bytes.Clone(padded), make([]byte, 2048)...)} {
			if _, err := Unpad(bad); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%d bytes, changed: %v", n, err)
			}
		}
	}
	dirty := Pad([]byte("x"))
	dirty[len(dirty)-1] = 1
	if _, err := Unpad(dirty); !errors.Is(err, ErrMalformed) {
		t.Fatalf("padding that is not zero: %v", err)
	}
}

func TestRepliesCrossInEnvelopes(t *testing.T) {
	if got, err := UnpadReply(PadReply([]byte("reply"), nil)); err != nil || string(got) != "reply" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, row := range errorTable {
		if _, err := UnpadReply(PadReply(nil, row.err)); !errors.Is(err, row.err) {
			t.Errorf("%v crossed as %v", row.err, err)
		}
	}
	_, err := UnpadReply(PadReply(nil, &Refusal{Err: ErrWait, Left: 3, Wait: time.Minute}))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Left != 3 || refusal.Wait != time.Minute {
		t.Errorf("refusal crossed as %v", err)
	}
	for _, bad := range [][]byte{nil, Pad(nil), Pad([]byte{2}), Pad([]byte{1, 'x'})} {
		if _, err := UnpadReply(bad); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(Encode(&Envelope{Prefix: NewPrefix(KindSealed)}), Pad([]byte("request")))
	f.Fuzz(func(t *testing.T, envelope, padded []byte) {
		if e, ad, ciphertext, err := ParseEnvelope(envelope); err == nil && !bytes.Equal(append(Encode(e), ciphertext...), append(ad[:len(ad):len(ad)], ciphertext...)) {
			t.Fatal("an envelope is read as something else")
		}
		if b, err := Unpad(padded); err == nil && !bytes.Equal(Pad(b), padded) {
			t.Fatal("padding is read as something else")
		}
		_, _ = UnpadReply(padded)
	})
}

func FuzzMessages(f *testing.F) {
	for i, c := range codecs() {
		f.Add(byte(i), c.sample)
	}
	f.Fuzz(func(t *testing.T, n byte, b []byte) {
		all := codecs()
		again, err := all[int(n)%len(all)].parse(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Fatal("two encodings of one message")
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add(sampleLog())
	f.Fuzz(func(t *testing.T, b []byte) {
		if events, err := ParseLog(b); err == nil && !bytes.Equal(EncodeLog(events), b) {
			t.Fatal("two encodings of one log")
		}
	})
}

func FuzzInfo(f *testing.F) {
	f.Add(EncodeInfo(sampleInfo()))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := ParseInfo(b)
		if err != nil {
			return
		}
		if again, err := ParseInfo(EncodeInfo(info)); err != nil || !reflect.DeepEqual(again, info) {
			t.Fatalf("%+v became %+v, %v", info, again, err)
		}
	})
}
