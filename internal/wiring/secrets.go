package wiring

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coffer/app"
	"coffer/cloud"
)

// take returns a secret of a place; the zero Secret where there is none. A key store that
// is locked does not open by waiting, so nobody is to try again.
func take(ctx context.Context, r app.PlaceRequest, name string) (app.Secret, error) {
	s, err := r.Secrets.Get(ctx, name)
	if errors.Is(err, app.ErrNoEntry) {
		return app.Secret{}, nil
	}
	if err != nil {
		return app.Secret{}, fmt.Errorf("get %s of the place: %w", name, cloud.Final(err))
	}
	return s, nil
}

// reveal returns the bytes of a secret as text: for requests, and nothing else.
func reveal(s app.Secret) string {
	text := ""
	s.Expose(func(b []byte) { text = string(b) })
	return text
}

// asked returns a function that reveals s, as drivers want it; nil where there is none.
func asked(s app.Secret) func() string {
	if s.IsZero() {
		return nil
	}
	return func() string { return reveal(s) }
}

// missing is the error of a place that cannot be reached without the named secret.
func missing(name string) error {
	return fmt.Errorf("%w: %s", app.ErrPlaceSecret, name)
}

// words are the parts of an option that may have several values.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
}

// yes reads an option that is "yes" or not there.
func yes(options map[string]string, name string) (bool, error) {
	switch options[name] {
	case "yes":
		return true, nil
	case "", "no":
		return false, nil
	}
	return false, fmt.Errorf("option %s: %w: want yes or no", name, cloud.ErrAddress)
}
