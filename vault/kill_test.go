package vault_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
)

// A child of TestKilledAtAnyMoment guesses until it is killed.
const childVariable = "COFFER_TEST_GUESS_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		guessForEver(dir)
		return
	}
	os.Exit(m.Run())
}

// guessForEver writes a line for each answer that it got, so what the parent counts is at
// most what was answered.
func guessForEver(dir string) {
	raw, err := os.ReadFile(dir + "/slot.json")
	if err != nil {
		panic(err)
	}
	var slot vault.Slot
	if err := json.Unmarshal(raw, &slot); err != nil {
		panic(err)
	}
	v, err := embedded.Open(context.Background(), dir+"/vault", "ANN-LAPTOP", embedded.Options{})
	if err != nil {
		panic(err)
	}
	client := vault.NewClient(v.Transport(), slot.Pin(), "")
	client.UseCheapKSF()
	fmt.Println("ready")
	for {
		_, _, err := client.Open(context.Background(), slot, secret(wrongPassword))
		if !errors.Is(err, vault.ErrWrongPassword) {
			fmt.Println("error:", err)
			return
		}
		fmt.Println("answer")
	}
}

// TestKilledAtAnyMoment kills a process that holds the vault, 30 times, in the middle of
// its tries: there are never more answers than charges, and the vault opens again.
func TestKilledAtAnyMoment(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	opts := embedded.Options{Waits: noWaits.Waits, Tries: 100}
	root := crypto.NewRootKey()
	slot := mustEnrollIn(t, dir, root, opts)
	answers := 0
	for round := range rounds {
		span := 40 * time.Millisecond
		if answers == 0 {
			span <<= min(round/3, 7) // a busy computer: its children need longer to get an answer
		}
		got := killedChild(t, dir, time.Duration(rand.Int64N(int64(span))))
		answers += got
		v, err := embedded.Open(t.Context(), dir+"/vault", "ANN-LAPTOP", opts)
		if err != nil {
			t.Fatalf("round %d: open after kill: %v", round, err)
		}
		client := vault.NewClient(v.Transport(), slot.Pin(), "")
		client.UseCheapKSF()
		s, err := client.Status(t.Context(), slot)
		if err != nil {
			t.Fatalf("round %d: status: %v", round, err)
		}
		if charges := s.Tries - s.Left; got > charges {
			t.Fatalf("round %d: %d answers to %d charges", round, got, charges)
		}
		if opened, _, err := client.Open(t.Context(), slot, secret(rightPassword)); err != nil || !opened.Equal(root) {
			t.Fatalf("round %d: the right password: %v", round, err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if answers == 0 {
		t.Fatal("no child got an answer: the test could not fail")
	}
	t.Logf("%d answers in %d rounds", answers, rounds)
}

func mustEnrollIn(t *testing.T, dir string, root crypto.RootKey, opts embedded.Options) vault.Slot {
	t.Helper()
	v, err := embedded.Open(t.Context(), dir+"/vault", "ANN-LAPTOP", opts)
	if err != nil {
		t.Fatal(err)
	}
	client := vault.NewClient(v.Transport(), vault.PinOf(v.Info()), "")
	client.UseCheapKSF()
	slot, err := client.Enroll(t.Context(), root, secret(rightPassword), floor, nil, saveNothing)
	if err = errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(slot)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/slot.json", raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return slot
}

// killedChild runs a child, kills it some time after it is ready, and counts its answers.
func killedChild(t *testing.T, dir string, after time.Duration) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines, answers := bufio.NewScanner(out), 0
	for lines.Scan() {
		switch lines.Text() {
		case "ready":
			time.AfterFunc(after, func() { child.Process.Kill() })
		case "answer":
			answers++
		default:
			t.Errorf("child: %s", lines.Text())
		}
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return answers
}
