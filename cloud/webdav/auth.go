package webdav

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"coffer/cloud"
)

// auth answers challenges. It keeps what the server said, never the password.
type auth struct {
	user     string
	password func() string // nil: none
	private  bool          // nobody else hears: TLS, or this computer

	mu  sync.Mutex
	now *session // guarded by mu; nil: not challenged yet
}

// A session is a challenge that is being answered.
type session struct {
	digest             bool // else Basic
	realm, nonce, hash string
	opaque             string
	hasOpaque          bool
	sum                func() hash.Hash
	keyed              bool // "-sess": the key holds both nonces
	hashUser           bool
	client             string // our nonce
	first              string // the server's nonce that the key of "-sess" holds
	count              uint32 // guarded by auth.mu; requests signed with nonce
}

// errUser: who signs in cannot be written the way that this server wants.
var errUser = fmt.Errorf("%w: this server takes no user with a colon", cloud.ErrAuth)

// header returns the field Authorization for a request, or "", and the session
// that made it.
func (a *auth) header(method, uri string) (string, *session, error) {
	a.mu.Lock()
	s := a.now
	if s == nil {
		a.mu.Unlock()
		return "", nil, nil
	}
	s.count++
	count, nonce := s.count, s.nonce
	a.mu.Unlock()
	password := ""
	if a.password != nil {
		password = a.password()
	}
	if s.digest {
		return s.sign(a.user, password, method, uri, nonce, count), s, nil
	}
	if strings.Contains(a.user, ":") {
		return "", s, errUser
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.user+":"+password)), s, nil
}

// sign makes the answer of RFC 7616, section 3.4.
func (s *session) sign(user, password, method, uri, nonce string, count uint32) string {
	h := func(parts ...string) string {
		sum := s.sum()
		_, _ = io.WriteString(sum, strings.Join(parts, ":")) // a hash takes everything
		return hex.EncodeToString(sum.Sum(nil))
	}
	key := h(user, s.realm, password)
	if s.keyed {
		key = h(key, s.first, s.client)
	}
	nc := fmt.Sprintf("%08x", count)
	proof := h(key, nonce, nc, s.client, "auth", h(method, uri))
	if s.hashUser {
		user = h(user, s.realm)
	}
	fields := []string{
		"username=" + quoted(user), "realm=" + quoted(s.realm), "nonce=" + quoted(nonce), "uri=" + quoted(uri),
		"response=" + quoted(proof), "qop=auth", "nc=" + nc, "cnonce=" + quoted(s.client),
	}
	if s.hash != "" {
		fields = append(fields, "algorithm="+s.hash)
	}
	if s.hasOpaque {
		fields = append(fields, "opaque="+quoted(s.opaque))
	}
	if s.hashUser {
		fields = append(fields, "userhash=true")
	}
	return "Digest " + strings.Join(fields, ", ")
}

// learn takes the challenge of a 401 to a request that was signed in session used,
// or not at all. It reports whether a new answer is worth sending: a nonce may
// have been too old, and a session of earlier requests may be over; but what was
// asked in this very call and answered is a wrong password, and asking again
// gets accounts locked.
func (a *auth) learn(h http.Header, used *session, asked bool) error {
	all, err := parseChallenges(h.Values("WWW-Authenticate"))
	if err != nil {
		return fmt.Errorf("%w: %w", cloud.ErrAuth, err)
	}
	next, stale, err := a.choose(all)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && used != nil && asked && !stale {
		err = fmt.Errorf("%w: the server refused user and password", cloud.ErrAuth)
	}
	if err != nil {
		if a.now == used {
			a.now = nil // the next request asks first
		}
		return err
	}
	if a.now == used { // else somebody has learned of a newer one
		a.now = next
	}
	return nil
}

// choose takes the best challenge: Digest before Basic, SHA-256 before MD5.
func (a *auth) choose(all []challenge) (best *session, stale bool, err error) {
	if a.user == "" || a.password == nil {
		return nil, false, fmt.Errorf("%w: the server wants a user and a password", cloud.ErrAuth)
	}
	rank := 0
	basic := false
	for _, c := range all {
		basic = basic || c.scheme == "basic"
		s, r := c.session()
		if r <= rank || !s.digest && !a.private {
			continue
		}
		best, rank = s, r
		stale = strings.EqualFold(c.params["stale"], "true")
	}
	switch {
	case best != nil:
		return best, stale, nil
	case basic:
		return nil, false, fmt.Errorf("%w: the server wants the password as it is", cloud.ErrPlain)
	}
	return nil, false, cloud.Final(fmt.Errorf("%w: no way to sign in that is known here", cloud.ErrUnsupported))
}

// session returns how the challenge would be answered, and how good that is; 0:
// not at all.
func (c challenge) session() (*session, int) {
	switch c.scheme {
	case "basic":
		return &session{}, 1
	case "digest":
	default:
		return nil, 0
	}
	ways := strings.FieldsFunc(strings.ToLower(c.params["qop"]), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if c.params["nonce"] == "" || !slices.Contains(ways, "auth") {
		return nil, 0 // without qop there is no nonce of ours in it
	}
	opaque, hasOpaque := c.params["opaque"]
	s := &session{
		digest: true, realm: c.params["realm"], nonce: c.params["nonce"], first: c.params["nonce"], opaque: opaque, hasOpaque: hasOpaque,
		hash: c.params["algorithm"], hashUser: strings.EqualFold(c.params["userhash"], "true"), client: randomHex(),
	}
	name, keyed := strings.CutSuffix(strings.ToUpper(s.hash), "-SESS")
	s.keyed = keyed
	switch name {
	case "SHA-256":
		s.sum = sha256.New
		return s, 3
	case "MD5", "":
		s.sum = md5.New
		return s, 2
	}
	return nil, 0
}

// renew takes the nonce that the server wants to see next (RFC 7616, section 3.5):
// it saves a request that is refused for its age, with an upload in it.
func (a *auth) renew(h http.Header, used *session) {
	field := h.Get("Authentication-Info")
	if used == nil || !used.digest || field == "" {
		return
	}
	params, err := parseParams(field)
	if err != nil || params["nextnonce"] == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == used && used.nonce != params["nextnonce"] {
		used.nonce, used.count = params["nextnonce"], 0
	}
}

// randomHex returns 32 hex digits that nobody else has. They are not secret: the
// server sees them.
func randomHex() string { return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) }
