//go:build cgo

package pkcs11

import (
	"fmt"

	p11 "github.com/miekg/pkcs11"
)

// maxObjects bounds what a module may say that it found: more than any token holds.
const maxObjects = 1 << 24

func mechanism(number uint, parameter any) []*p11.Mechanism {
	return []*p11.Mechanism{p11.NewMechanism(number, parameter)}
}

// find returns the objects that fit a template: at least limit of them if there are, or
// all if it is 0. Who is not logged in finds no private object, and no error: "there is
// none" counts only from who still is, or a record key would be reported destroyed that
// is not.
func (s *session) find(template []*p11.Attribute, limit int) ([]p11.ObjectHandle, error) {
	objects, err := s.findVisible(template, limit)
	if err != nil {
		return nil, err
	}
	return objects, s.stillIn()
}

// stillIn returns CKR_USER_NOT_LOGGED_IN unless this session was logged in for all of its
// life. The order matters: who logs in anew begins another life before.
func (s *session) stillIn() error {
	info, err := s.token.ctx.GetSessionInfo(s.h)
	if err != nil {
		return fmt.Errorf("ask session: %w", err)
	}
	if info.State != p11.CKS_RW_USER_FUNCTIONS || s.life != s.token.now().life {
		return fmt.Errorf("ask session: %w", p11.Error(p11.CKR_USER_NOT_LOGGED_IN))
	}
	return nil
}

func (s *session) findVisible(template []*p11.Attribute, limit int) (objects []p11.ObjectHandle, err error) {
	if err := s.token.ctx.FindObjectsInit(s.h, template); err != nil {
		return nil, fmt.Errorf("begin to find: %w", err)
	}
	defer func() {
		if end := s.token.ctx.FindObjectsFinal(s.h); end != nil && err == nil {
			err = fmt.Errorf("end to find: %w", end)
		}
	}()
	for limit == 0 || len(objects) < limit {
		some, _, err := s.token.ctx.FindObjects(s.h, 256)
		if err != nil {
			return nil, fmt.Errorf("find: %w", err)
		}
		if len(some) == 0 {
			break
		}
		if objects = append(objects, some...); len(objects) > maxObjects {
			return nil, fmt.Errorf("find: more than %d objects", maxObjects)
		}
	}
	return objects, nil
}

// destroyAll destroys what fits a template, by numbers that are fresh: an old one may be
// another's object by now. Then it looks again.
func (s *session) destroyAll(template []*p11.Attribute) error {
	objects, err := s.find(template, 0)
	if err != nil {
		return err
	}
	for _, object := range objects {
		err := s.token.ctx.DestroyObject(s.h, object)
		if err != nil && !is(err, p11.CKR_OBJECT_HANDLE_INVALID) { // another was faster
			return fmt.Errorf("destroy object: %w", err)
		}
	}
	if objects, err = s.find(template, 1); err != nil {
		return err
	}
	if len(objects) > 0 {
		return fmt.Errorf("destroy object: it is still there")
	}
	return nil
}

func (s *session) remembered(key keyID) (p11.ObjectHandle, bool) {
	s.token.mu.Lock()
	defer s.token.mu.Unlock()
	object, ok := s.token.found[key]
	return object, ok && s.life == s.token.life
}

func (s *session) remember(key keyID, object p11.ObjectHandle) {
	s.token.mu.Lock()
	defer s.token.mu.Unlock()
	if s.life != s.token.life || s.token.found == nil {
		return
	}
	if len(s.token.found) >= maxCached {
		clear(s.token.found)
	}
	s.token.found[key] = object
}

func (s *session) forget(key keyID) {
	s.token.mu.Lock()
	defer s.token.mu.Unlock()
	delete(s.token.found, key)
}

// wrappingKey returns the vault's wrapping key. [ErrKey] when it is missing and not to be
// made, when there are two, and when it could leave the token or decrypt what it wrapped.
func (s *session) wrappingKey(create bool) (p11.ObjectHandle, error) {
	name := s.token.opts.Label + " wrap"
	objects, err := s.find(wrappingName(name), 2)
	if err != nil {
		return 0, err
	}
	switch {
	case len(objects) > 1:
		return 0, fmt.Errorf("%w: the token has more than one %q", ErrKey, name)
	case len(objects) == 1:
		return objects[0], s.checkWrappingKey(objects[0], name)
	case !create:
		return 0, fmt.Errorf("%w: the token has no %q; a new one would not open what this vault keeps", ErrKey, name)
	}
	object, err := s.makeWrappingKey(name)
	if err != nil {
		return 0, fmt.Errorf("make wrapping key: %w", err)
	}
	return object, s.checkWrappingKey(object, name)
}

// checkWrappingKey does not take a token's word for a template: what it has made is asked.
func (s *session) checkWrappingKey(key p11.ObjectHandle, name string) error {
	for _, a := range []struct {
		kind uint
		want byte
		says string
	}{
		{p11.CKA_SENSITIVE, 1, "can be read"},
		{p11.CKA_EXTRACTABLE, 0, "can leave the token"},
		{p11.CKA_LOCAL, 1, "was not made in the token"},
		{p11.CKA_DECRYPT, 0, "decrypts"},
		{p11.CKA_WRAP, 1, "does not wrap"},
		{p11.CKA_UNWRAP, 1, "does not unwrap"},
	} {
		got, err := s.token.ctx.GetAttributeValue(s.h, key, []*p11.Attribute{p11.NewAttribute(a.kind, nil)})
		if err != nil {
			return fmt.Errorf("ask wrapping key: %w", err)
		}
		if len(got) != 1 || len(got[0].Value) != 1 || got[0].Value[0] != a.want {
			return fmt.Errorf("%w: %q %s", ErrKey, name, a.says)
		}
	}
	return nil
}
