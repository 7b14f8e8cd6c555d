package app

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
	PasswordTooShort   PasswordProblem = "too-short"
	PasswordCommon     PasswordProblem = "common"
	PasswordWeak       PasswordProblem = "weak"
	PasswordCharacters PasswordProblem = "characters" // control characters, or not text at all
	PasswordTooLong    PasswordProblem = "too-long"
	PasswordDiffers    PasswordProblem = "differs" // for the caller that asks twice
)
