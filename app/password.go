package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sethvargo/go-diceware/diceware"
	"github.com/trustelem/zxcvbn"
	"github.com/trustelem/zxcvbn/match"

	"coffer/crypto"
)

// PasswordAdvice is what can be said of a password before it is set.
type PasswordAdvice struct {
	OK       bool
	Score    int             // 0 to 4, as zxcvbn counts
	Problem  PasswordProblem // why not OK
	Warnings []string        // "leading-space", "trailing-space"
}

// A PasswordProblem is why a password is not taken.
type PasswordProblem string

// The problems.
const (
	PasswordFine       PasswordProblem = ""
	PasswordTooShort   PasswordProblem = "too-short"  // fewer than 8 characters
	PasswordTooLong    PasswordProblem = "too-long"   // more than 1,024 bytes
	PasswordCommon     PasswordProblem = "common"     // among the first that anybody tries
	PasswordWeak       PasswordProblem = "weak"       // for a passphrase: not long or not random enough
	PasswordCharacters PasswordProblem = "characters" // control characters, or not text at all
	PasswordDiffers    PasswordProblem = "differs"    // for the caller that asks twice
)

// Warnings of [PasswordAdvice].
const (
	WarnLeadingSpace  = "leading-space"
	WarnTrailingSpace = "trailing-space"
)

// Why a password is not taken.
var (
	// ErrPasswordTooShort: fewer than 8 characters.
	ErrPasswordTooShort = errors.New("app: the password is too short")
	// ErrPasswordTooLong: more than 1,024 bytes.
	ErrPasswordTooLong = errors.New("app: the password is too long")
	// ErrPasswordCommon: it is among the first that anybody tries.
	ErrPasswordCommon = errors.New("app: the password is a common one")
	// ErrPasswordWeak: it can be guessed in few tries.
	ErrPasswordWeak = errors.New("app: the password is weak")
	// ErrPassphraseWeak: no vault counts the tries, and this would not withstand them.
	ErrPassphraseWeak = errors.New("app: the passphrase is too weak to be guarded by nothing else")
)

const (
	minPassword   = 8    // characters, after normalization
	minPassphrase = 20   // characters
	minWords      = 5    // of the list of words: 64.6 bits
	maxPassword   = 1024 // bytes

	// maxEstimate bounds what zxcvbn sees, in characters: its cost grows with the cube,
	// and a text of ten thousand would hold the window for minutes. What is weak in the
	// first 64 characters may be strong behind them; nobody types such passwords.
	maxEstimate = 64

	// The score that a password needs. The vault takes ten tries, so a million guesses
	// (score 2) leave a stranger one chance in a hundred thousand.
	minPasswordScore   = 2
	minPassphraseScore = 4
)

// AdvisePassword judges a password that a vault will guard. userInputs are words that are
// easily guessed for this user: names of the user and of the computer.
func AdvisePassword(password Secret, userInputs []string) PasswordAdvice {
	return advise(password, userInputs, minPassword, func(string, int) bool { return false }, minPasswordScore)
}

// AdvisePassphrase judges a passphrase that nothing else will guard: whoever holds the
// files guesses as often as they like. It takes score 4 in at least 20 characters, or five
// different words of the list that [SuggestWords] draws from.
func AdvisePassphrase(passphrase Secret, userInputs []string) PasswordAdvice {
	return advise(passphrase, userInputs, minPassword, func(text string, score int) bool {
		return !areWords(text) && (utf8.RuneCountInString(text) < minPassphrase || score < minPassphraseScore)
	}, 0)
}

func advise(password Secret, userInputs []string, shortest int, tooWeak func(string, int) bool, minScore int) PasswordAdvice {
	if password.Len() > maxPassword {
		return PasswordAdvice{Problem: PasswordTooLong}
	}
	normal, err := crypto.NormalizePassword(password)
	if errors.Is(err, crypto.ErrEmptyPassword) {
		return PasswordAdvice{Problem: PasswordTooShort}
	}
	if err != nil {
		return PasswordAdvice{Problem: PasswordCharacters}
	}
	defer normal.Wipe()
	var advice PasswordAdvice
	normal.Expose(func(b []byte) {
		// The estimator wants a string, which cannot be wiped: it dies with the next
		// collection. The password was typed into this process a moment ago.
		text := string(b)
		advice = estimate(text, userInputs)
		switch {
		case utf8.RuneCountInString(text) < shortest:
			advice.Problem = PasswordTooShort
		case advice.Problem != PasswordFine:
		case advice.Score < minScore || tooWeak(text, advice.Score):
			advice.Problem = PasswordWeak
		}
	})
	advice.OK = advice.Problem == PasswordFine
	return advice
}

// estimate fills in the score, the warnings and whether the password is a common one.
func estimate(text string, userInputs []string) PasswordAdvice {
	var advice PasswordAdvice
	if first, _ := utf8.DecodeRuneInString(text); unicode.IsSpace(first) {
		advice.Warnings = append(advice.Warnings, WarnLeadingSpace)
	}
	if last, _ := utf8.DecodeLastRuneInString(text); unicode.IsSpace(last) {
		advice.Warnings = append(advice.Warnings, WarnTrailingSpace)
	}
	start := []rune(text)
	start = start[:min(len(start), maxEstimate)]
	result := zxcvbn.PasswordStrength(string(start), boundInputs(userInputs))
	advice.Score = result.Score
	if result.Score < minPasswordScore && len(start) < maxEstimate && isCommon(result.Sequence) {
		advice.Problem = PasswordCommon
	}
	return advice
}

// isCommon reports whether the whole password is one well-known thing: an entry of a list,
// a run of keys, a sequence, a repeat, a date.
func isCommon(sequence []*match.Match) bool {
	return len(sequence) == 1 && sequence[0].Pattern != "bruteforce" && sequence[0].DictionaryName != "user_inputs"
}

// boundInputs keeps a long home path or computer name from becoming a long computation.
func boundInputs(inputs []string) []string {
	var out []string
	for _, s := range inputs[:min(len(inputs), 16)] {
		if len(s) <= 64 {
			out = append(out, strings.ToLower(s))
		}
		for _, word := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			if len(word) >= 3 && len(word) <= 64 && len(out) < 64 {
				out = append(out, strings.ToLower(word))
			}
		}
	}
	return out
}

// areWords reports whether text is at least five different words of the list, with spaces
// between them, as SuggestWords writes them.
func areWords(text string) bool {
	words := strings.Fields(strings.ToLower(text))
	list := wordList()
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) < minWords {
		return false
	}
	for _, word := range words {
		if _, found := slices.BinarySearch(list, word); !found {
			return false
		}
	}
	return true
}

// wordList is the large list of the EFF, 7,776 words, sorted.
func wordList() []string {
	eff := diceware.WordListEffLarge()
	sides := []int{11111, 66666}
	var list []string
	for i := sides[0]; i <= sides[1]; i++ {
		if word := eff.WordAt(i); word != "" {
			list = append(list, word)
		}
	}
	slices.Sort(list)
	return list
}

// maxWords bounds SuggestWords. Ten words are more bits than an AES-128 key has.
const maxWords = 10

// SuggestWords returns n different random words with spaces between them, 12.9 bits each
// (crypto/rand; the EFF's large list). n is taken as 5 to 10.
func SuggestWords(n int) Secret {
	words, err := diceware.GenerateWithWordList(min(max(n, minWords), maxWords), diceware.WordListEffLarge())
	if err != nil {
		panic("app: no random words: " + err.Error()) // crypto/rand does not fail (Go 1.24)
	}
	return NewSecret([]byte(strings.Join(words, " ")))
}

// passwordErrors turns advice into the error that Setup and ChangePassword return.
func passwordError(lock LockKind, advice PasswordAdvice) error {
	switch {
	case advice.OK:
		return nil
	case advice.Problem == PasswordTooLong:
		return ErrPasswordTooLong
	case advice.Problem == PasswordCharacters:
		return crypto.ErrPasswordCharacters
	case lock == LockPassphrase:
		return ErrPassphraseWeak
	case advice.Problem == PasswordTooShort:
		return ErrPasswordTooShort
	case advice.Problem == PasswordCommon:
		return ErrPasswordCommon
	}
	return ErrPasswordWeak
}

// checkNewSecret refuses a password or passphrase that must not guard a backup.
func (a *App) checkNewSecret(lock LockKind, secret Secret) error {
	inputs := []string{a.cfg.Computer, a.cfg.UserHome, "coffer"}
	switch lock {
	case LockKey:
		return nil
	case LockPassword:
		return passwordError(lock, AdvisePassword(secret, inputs))
	case LockPassphrase:
		return passwordError(lock, AdvisePassphrase(secret, inputs))
	}
	return fmt.Errorf("%w: way in", ErrSettings)
}
