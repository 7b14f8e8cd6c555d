package drive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	driveapi "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"coffer/cloud"
)

const (
	// DefaultFolder is the name that the folder is made with.
	DefaultFolder = "Coffer Backups"

	quantum      = 256 << 10 // chunks are multiples of this, all but the last
	defaultChunk = 8 << 20
	maxFolder    = 100 // bytes: a property's name and value may have 124
)

// A Config says which place. Client, Tokens and nothing else are needed.
type Config struct {
	Client ClientConfig
	Tokens TokenStore

	// Folder is the name that the place was made with; "" is [DefaultFolder]. The
	// user may rename the folder afterwards: it is not looked for by its name.
	Folder string
	// Create makes the folder if there is none. Without it that is ErrNoPlace.
	Create bool
	// State is a folder of this computer, which must exist, for what the next program
	// has to know: uploads under way, with their bytes, and what was written in the last
	// hour, which listings may not show yet. "": in memory, so that a killed program sends
	// the object anew.
	State string
	// Seal and Open keep secret what is in State. Nil: files of mode 0600.
	Seal, Open func([]byte) ([]byte, error)
	// Endpoint is the address of the API, for stand-ins; "" is Google's. Uploads
	// go to /upload/drive/v3/ of the same host.
	Endpoint string
	// Transport carries the requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Chunk is how many bytes are sent in one request, a multiple of 256 KiB; 0:
	// 8 MiB. It is what is sent twice, at most, when a connection breaks.
	Chunk int64
}

// A Driver is a folder of a Google Drive. It is safe for concurrent use.
//
// Of several files of one name the object is the one whose bytes, by Drive's own
// hash, are those that the name promises; of several such, or none, the oldest.
// All devices choose the same, whatever they see first.
type Driver struct {
	folder  string
	create  bool
	chunk   int64
	api     *driveapi.Service
	http    *http.Client // signs
	upload  string       // the address for uploads
	origin  *url.URL     // of all of them
	signer  *signer
	journal *journal
	own     ownLog
	ids     idPool
	names   cloud.NameLocks // Drive would take the files of all that put a name at once
	index   index
	limits  limits

	entering cloud.Mutex // held while the place is looked for, made, or forgotten
	account  Account     // guarded by entering; zero: not asked yet
	pending  string      // guarded by entering; the id of a folder that is being made

	mu    sync.Mutex
	place *place // guarded by mu; nil: not known
}

// New returns the place. It asks nobody: the first request signs in, checks the
// account, and finds the folder or makes it.
func New(c Config) (*Driver, error) {
	if err := c.Client.check(); err != nil {
		return nil, fmt.Errorf("open drive: %w: %w", cloud.ErrClient, err)
	}
	if c.Folder == "" {
		c.Folder = DefaultFolder
	}
	if c.Chunk == 0 {
		c.Chunk = defaultChunk
	}
	if c.Tokens == nil || len(c.Folder) > maxFolder || c.Chunk < 0 || c.Chunk%quantum != 0 || (c.Seal == nil) != (c.Open == nil) {
		return nil, fmt.Errorf("open drive: %w: configuration", cloud.ErrNoPlace)
	}
	base, upload, err := endpoint(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("open drive: %w: %w", cloud.ErrNoPlace, err)
	}
	origin, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("open drive: %w: %w", cloud.ErrNoPlace, errSyntax)
	}
	plain := plainClient(c.Transport)
	signer := &signer{client: c.Client, tokens: c.Tokens, http: plain, one: cloud.NewMutex()}
	client := plainClient(c.Transport)
	client.Transport = &signed{signer: signer, host: origin, next: plain.Transport}
	api, err := newService(client, base)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		folder: c.Folder, create: c.Create, chunk: c.Chunk, api: api, http: client, upload: upload,
		origin: origin, signer: signer, entering: cloud.NewMutex(), ids: idPool{one: cloud.NewMutex()},
		journal: newJournal(c), index: newIndex(),
	}
	if c.State != "" {
		d.own.path = d.journal.path(ownFile, "")
	}
	for _, e := range d.own.load(time.Now()) {
		e.learned = e.own
		d.index.learn(e)
	}
	return d, nil
}

// Caps implements [cloud.Driver].
func (d *Driver) Caps() cloud.Caps {
	return cloud.Caps{ResumePut: true, ServerSum: "sha256", PackSize: 16 << 20, Parallel: 3}
}

// Close lets go of connections that wait for more requests.
func (d *Driver) Close() error {
	d.http.CloseIdleConnections()
	return nil
}

// Capacity implements [cloud.Capacitor]: that of the account, which Gmail and
// Photos share.
func (d *Driver) Capacity(ctx context.Context) (cloud.Capacity, error) {
	about, err := d.about(ctx, "user(permissionId,emailAddress),storageQuota(limit,usage)")
	if err != nil {
		return cloud.Capacity{}, fmt.Errorf("ask for free space: %w", err)
	}
	q := about.StorageQuota
	if q == nil || q.Limit <= 0 {
		return cloud.Capacity{Free: -1, Total: -1}, nil
	}
	return cloud.Capacity{Free: min(q.Limit, max(0, q.Limit-q.Usage)), Total: q.Limit}, nil
}

// about asks about the account.
func (d *Driver) about(ctx context.Context, fields googleapi.Field) (*driveapi.About, error) {
	about, err := d.api.About.Get().Fields(fields).Context(ctx).Do()
	if err != nil {
		return nil, classify(err)
	}
	if about.User == nil || about.User.PermissionId == "" {
		return nil, &classed{fmt.Errorf("%w: an account without an id", cloud.ErrOffline)}
	}
	return about, nil
}

// Account asks who is signed in, and refuses the wrong one with [cloud.ErrAccount].
func (d *Driver) Account(ctx context.Context) (Account, error) {
	if err := d.entering.Lock(ctx); err != nil {
		return Account{}, err
	}
	defer d.entering.Unlock()
	if err := d.identify(ctx); err != nil {
		return Account{}, err
	}
	return d.account, nil
}

// Describe implements [cloud.Describer]: the account's address.
func (d *Driver) Describe(ctx context.Context) (cloud.Description, error) {
	account, err := d.Account(ctx)
	if err != nil {
		return cloud.Description{}, err
	}
	return cloud.Description{Account: account.Email}, nil
}

// identify learns the account, once, and holds it against the one that the
// sign-in was kept for. The caller holds entering.
func (d *Driver) identify(ctx context.Context) error {
	if d.account != (Account{}) {
		return nil
	}
	about, err := d.about(ctx, "user(permissionId,emailAddress)")
	if err != nil {
		return fmt.Errorf("ask for the account: %w", err)
	}
	actual := Account{ID: about.User.PermissionId, Email: about.User.EmailAddress}
	if err := d.signer.belongs(ctx, actual); err != nil {
		return err
	}
	if known := d.journal.loadPlace(); known.Account != "" && known.Account != actual.ID {
		return cloud.ErrAccount // a new sign-in, for a place of another account
	}
	d.account = actual
	return nil
}

// enter returns the place, looking for it if it is not known.
func (d *Driver) enter(ctx context.Context) (*place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p := d.known(); p != nil {
		return p, nil
	}
	if err := d.entering.Lock(ctx); err != nil {
		return nil, err
	}
	defer d.entering.Unlock()
	if p := d.known(); p != nil {
		return p, nil // somebody else was faster
	}
	return d.find(ctx)
}

func (d *Driver) known() *place {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.place
}

func (d *Driver) setPlace(p *place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.place = p
}

// An idPool gives ids that Drive issued: a score for the price of one.
type idPool struct {
	one  cloud.Mutex // held to use ids
	free []string
}

func (d *Driver) newID(ctx context.Context) (string, error) {
	if err := d.ids.one.Lock(ctx); err != nil {
		return "", err
	}
	defer d.ids.one.Unlock()
	if len(d.ids.free) == 0 {
		issued, err := d.api.Files.GenerateIds().Count(20).Space("drive").Type("files").Context(ctx).Do()
		if err != nil {
			return "", fmt.Errorf("ask for ids: %w", classify(err))
		}
		for _, id := range issued.Ids {
			if validID(id) {
				d.ids.free = append(d.ids.free, id)
			}
		}
	}
	if len(d.ids.free) == 0 {
		return "", &classed{fmt.Errorf("ask for ids: %w: none came", cloud.ErrOffline)}
	}
	id := d.ids.free[0]
	d.ids.free = d.ids.free[1:]
	return id, nil
}

// validID bounds what may go into an address and a query.
func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}

// isNotFound reports that Drive has no such file.
func isNotFound(err error) bool { return errors.Is(err, cloud.ErrNotFound) }

// created reads a time of Drive; what cannot be read is the oldest.
func created(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
