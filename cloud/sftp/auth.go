package sftp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"coffer/cloud"
)

// The methods of authentication (RFC 4252, RFC 4256).
const (
	methodKey      = "publickey"
	methodPassword = "password"
	methodQuestion = "keyboard-interactive"
)

// credentials are used for one link. Nothing in them is touched before the host
// key was accepted: the functions that give secrets are called by the methods.
type credentials struct {
	config *Config
	agent  net.Conn // open while the link is being made; or nil

	asked    bool     // the server was asked whom it lets in
	takes    []string // methods that the server takes, as far as it said
	trouble  error    // why a key could not be used: the first
	answered bool     // the one hidden question was answered
}

// close gives the agent back.
func (c *credentials) close() {
	if c.agent != nil {
		_ = c.agent.Close() // nothing was written that has to arrive
	}
}

// methods returns what can be tried, in the order in which it is.
func (c *credentials) methods() []ssh.AuthMethod {
	var all []ssh.AuthMethod
	if c.config.Key != nil || c.config.Agent != nil {
		all = append(all, ssh.PublicKeysCallback(c.signers))
	}
	if c.config.Password != nil {
		all = append(all,
			ssh.PasswordCallback(func() (string, error) { return c.config.Password(), nil }),
			ssh.KeyboardInteractive(c.answer))
	}
	return all
}

// errRefused ends the authentication without a further method.
var errRefused = errors.New("password was refused")

// before is called before each method, and notes what the server takes.
func (c *credentials) before(s *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	c.asked = true
	for _, method := range s.AllowedMethods {
		if !slices.Contains(c.takes, method) {
			c.takes = append(c.takes, method)
		}
	}
	// A password that was refused is not tried again as the answer to a
	// question: servers count, and lock out.
	if slices.Contains(s.TriedMethods, methodPassword) && !slices.Contains(s.PartialSuccessMethods, methodPassword) {
		return nil, errRefused
	}
	return nil, nil //nolint:nilnil // the library's way of saying: the next of methods
}

// answer gives the password to one hidden question, once. More, or one whose
// answer would be shown, are not about a password.
func (c *credentials) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	if len(questions) != 1 || len(echos) != 1 || echos[0] || c.answered {
		return nil, errors.New("the server asks for more than a password")
	}
	c.answered = true
	return []string{c.config.Password()}, nil
}

// signers returns the key, and then those of the agent: servers allow few
// tries, and the key was chosen for this one.
func (c *credentials) signers() ([]ssh.Signer, error) {
	var all []ssh.Signer
	if c.config.Key != nil {
		signer, err := c.key()
		if err != nil {
			c.trouble = err
		} else {
			all = append(all, signer)
		}
	}
	if c.agent != nil {
		held, err := agent.NewClient(c.agent).Signers()
		if err != nil && c.trouble == nil {
			c.trouble = fmt.Errorf("%w: the agent does not answer", cloud.ErrAuth)
		}
		for _, signer := range held {
			if signer, err := withoutSHA1(signer); err == nil {
				all = append(all, signer)
			}
		}
	}
	return all, nil
}

// key reads the private key. Its errors hold nothing of it.
func (c *credentials) key() (ssh.Signer, error) {
	pem, err := c.config.Key()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		passphrase := ""
		if c.config.Passphrase != nil {
			passphrase = c.config.Passphrase()
		}
		if passphrase == "" {
			return nil, cloud.ErrPassphrase
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(passphrase))
	}
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, cloud.ErrPassphrase
	}
	if err != nil {
		return nil, ErrKey
	}
	return withoutSHA1(signer)
}

// withoutSHA1 returns the signer, which signs with SHA-2 alone if its key is an RSA
// key. (The other types have one algorithm each, which is not SHA-1.)
func withoutSHA1(signer ssh.Signer) (ssh.Signer, error) {
	if kind := signer.PublicKey().Type(); kind != ssh.KeyAlgoRSA && kind != ssh.CertAlgoRSAv01 {
		return signer, nil
	}
	capable, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, ErrKey
	}
	return ssh.NewSignerWithAlgorithms(capable, []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512})
}

// failure is the error of a server that did not let us in.
func (c *credentials) failure() error {
	if c.trouble != nil {
		return c.trouble
	}
	var takes []string
	for _, method := range c.takes {
		if word := printable([]byte(method)); word != "" && len(takes) < 8 {
			takes = append(takes, word)
		}
	}
	if len(takes) == 0 {
		return fmt.Errorf("%w: refused by the server", cloud.ErrAuth)
	}
	return fmt.Errorf("%w: refused by the server, which takes: %s", cloud.ErrAuth, strings.Join(takes, ", "))
}

// newCredentials opens the agent. That it is not there is trouble only if
// nothing else is.
func newCredentials(ctx context.Context, config *Config) *credentials {
	c := &credentials{config: config}
	if config.Agent == nil {
		return c
	}
	conn, err := config.Agent(ctx)
	if err != nil {
		c.trouble = fmt.Errorf("%w: the agent cannot be reached", cloud.ErrAuth)
		return c
	}
	c.agent = conn
	return c
}
