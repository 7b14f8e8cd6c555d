package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What only some places can do, through the same door: checks, tries, pause.

// Describe says whose place it is; the zero Description where the place does not say.
func (s *Store) Describe(ctx context.Context) (Description, error) {
	d, ok := s.driver.(Describer)
	if !ok {
		return Description{}, nil
	}
	return whole(ctx, s, "describe", d.Describe)
}

// Maintain tidies what piles up in a place that no listing shows, and returns how many
// things it tidied; 0 where a place has nothing of the kind. It is one try without a watch:
// a large place takes minutes in which no byte of an object moves, and tidying can wait.
func (s *Store) Maintain(ctx context.Context) (int, error) {
	d, ok := s.driver.(Maintainer)
	if !ok {
		return 0, nil
	}
	if err := s.admits(ctx); err != nil {
		return 0, fmt.Errorf("tidy: %w", err)
	}
	tidied, err := d.Maintain(ctx)
	if err != nil {
		return tidied, fmt.Errorf("tidy: %w", err)
	}
	return tidied, nil
}

// Finish ends uploads that a program that was killed had begun, and returns how many. No
// other program may send to the place from this computer meanwhile.
func (s *Store) Finish(ctx context.Context) (finished int, err error) {
	d, ok := s.driver.(Finisher)
	if !ok {
		return 0, nil
	}
	for name, src := range d.Unfinished() {
		switch err := s.put(ctx, name, src); {
		case errors.Is(err, ErrExists):
			// The name is taken by other bytes: what is damaged there is not ours to mend now.
		case err != nil:
			return finished, err
		default:
			finished++
		}
	}
	return finished, nil
}

// Retain keeps an object from everybody until then, at least. [ErrUnsupported] of a place
// that locks nothing.
func (s *Store) Retain(ctx context.Context, name string, until time.Time) error {
	d, ok := s.driver.(Locker)
	if !ok {
		return fmt.Errorf("lock %s: %w", name, ErrUnsupported)
	}
	_, err := call(ctx, s, "lock", name, func(ctx context.Context, _ *lease) (struct{}, error) {
		return struct{}{}, d.Retain(ctx, name, until)
	})
	return err
}

// Confirm reports whether an object has left this computer. Of a place that is not filled
// by another program, it has.
func (s *Store) Confirm(ctx context.Context, name string) (Whereabouts, error) {
	d, ok := s.driver.(Confirmer)
	if !ok {
		return WhereThere, nil
	}
	return call(ctx, s, "confirm", name, func(ctx context.Context, _ *lease) (Whereabouts, error) {
		return d.Confirm(ctx, name)
	})
}

// whole runs one operation on the place as a whole.
func whole[T any](ctx context.Context, s *Store, op string, request func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := s.admits(ctx); err != nil {
		return zero, fmt.Errorf("%s: %w", op, err)
	}
	result, err := retry(ctx, s, op, "", func(ctx context.Context, _ *lease) (T, error) { return request(ctx) })
	if err != nil {
		return zero, fmt.Errorf("%s: %w", op, err)
	}
	return result, nil
}
