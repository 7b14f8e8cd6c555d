package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"coffer/vault/trust"
)

// The socket of the program that runs speaks HTTP: who may open it (its folder has the mode
// 0700, itself 0600) may do all of this. A command and its server are of one version, or
// nearly; unknown fields are skipped.
const (
	pathHere    = "/here"
	pathStatus  = "/status"
	pathRenew   = "/renew"
	pathRotate  = "/rotate"
	pathInstall = "/install"
	pathReload  = "/reload"
	pathInvite  = "/invite"
	pathBackup  = "/backup"
)

// adminHandler answers commands.
func adminHandler(o *office) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathHere, answer(func(*http.Request) (any, error) { return true, nil }))
	mux.HandleFunc("GET "+pathStatus, answer(func(r *http.Request) (any, error) { return o.status(r.Context()) }))
	mux.HandleFunc("POST "+pathRenew, answer(func(r *http.Request) (any, error) { return o.renew(r.Context()) }))
	mux.HandleFunc("POST "+pathRotate, answer(func(r *http.Request) (any, error) { return o.rotate(r.Context()) }))
	mux.HandleFunc("POST "+pathReload, answer(func(r *http.Request) (any, error) { return o.reload(r.Context()) }))
	mux.HandleFunc("POST "+pathInstall, answer(func(r *http.Request) (any, error) {
		signed, err := io.ReadAll(io.LimitReader(r.Body, trust.MaxBundle))
		if err != nil {
			return nil, fmt.Errorf("read bundle: %w", err)
		}
		return o.install(r.Context(), signed)
	}))
	mux.HandleFunc("POST "+pathInvite, answer(func(r *http.Request) (any, error) {
		life, err := time.ParseDuration(r.FormValue("life"))
		if err != nil {
			return nil, wrong("life", "it is no time")
		}
		return o.invite(r.Context(), life)
	}))
	mux.HandleFunc("GET "+pathBackup, func(w http.ResponseWriter, r *http.Request) {
		// Half a backup must not look like a whole one: what has become of it is said after it.
		w.Header().Set("Trailer", backupTrailer)
		err := o.backup(r.Context(), w)
		if err == nil {
			w.Header().Set(backupTrailer, backupWhole)
			return
		}
		o.log.Error("backup failed", "error", err)
		says, _ := json.Marshal(problem{Explain(err).Code, err.Error()}) // two strings cannot fail
		w.Header().Set(backupTrailer, string(says))
	})
	return mux
}

// backupTrailer comes after a backup: backupWhole, or a problem.
const (
	backupTrailer = "Coffer-Vault-Backup"
	backupWhole   = "whole"
)

// A problem is an error on its way through the socket.
type problem struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

func answer(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := do(r)
		status := http.StatusOK
		if err != nil {
			v, status = problem{Explain(err).Code, err.Error()}, http.StatusConflict
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // the command is gone when this fails
	}
}

// remote is the desk of a program that runs.
type remote struct{ client *http.Client }

// dialAdmin connects to the program that runs, if one answers.
func dialAdmin(ctx context.Context, d folder) (*remote, error) {
	r := &remote{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			path, done, err := d.socketPath()
			if err != nil {
				return nil, err
			}
			defer done()
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
		MaxIdleConns: 1, DisableCompression: true,
	}}}
	if !d.has(socketName) {
		return nil, fmt.Errorf("find %s: %w", socketName, os.ErrNotExist)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var here bool // a status would look into every record, for each command
	if err := r.call(ctx, http.MethodGet, pathHere, http.NoBody, &here); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *remote) close() { r.client.CloseIdleConnections() }

// call asks for one thing and reads its answer into v.
func (r *remote) call(ctx context.Context, method, path string, body io.Reader, v any) error {
	resp, err := r.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("read answer of the vault: %w", err)
	}
	return nil
}

func (r *remote) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://vault"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the vault: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the vault: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p); err != nil {
		return nil, fmt.Errorf("ask the vault: status %d", resp.StatusCode)
	}
	return nil, &remoteError{p}
}

// A remoteError is an error of the program that runs.
type remoteError struct{ problem }

func (e *remoteError) Error() string { return e.Text }

// Is makes it the sentinel that it was.
func (e *remoteError) Is(target error) bool {
	for _, f := range failures {
		if f.code == e.Code && f.err == target {
			return true
		}
	}
	return false
}

func (r *remote) status(ctx context.Context) (s Status, err error) {
	err = r.call(ctx, http.MethodGet, pathStatus, http.NoBody, &s)
	return s, err
}

func (r *remote) renew(ctx context.Context) (n Renewed, err error) {
	err = r.call(ctx, http.MethodPost, pathRenew, http.NoBody, &n)
	return n, err
}

func (r *remote) rotate(ctx context.Context) (n Renewed, err error) {
	err = r.call(ctx, http.MethodPost, pathRotate, http.NoBody, &n)
	return n, err
}

func (r *remote) reload(ctx context.Context) (n Renewed, err error) {
	err = r.call(ctx, http.MethodPost, pathReload, http.NoBody, &n)
	return n, err
}

func (r *remote) install(ctx context.Context, signed []byte) (n Renewed, err error) {
	err = r.call(ctx, http.MethodPost, pathInstall, bytes.NewReader(signed), &n)
	return n, err
}

func (r *remote) invite(ctx context.Context, life time.Duration) (link string, err error) {
	err = r.call(ctx, http.MethodPost, pathInvite+"?life="+url.QueryEscape(life.String()), http.NoBody, &link)
	return link, err
}

func (r *remote) backup(ctx context.Context, w io.Writer) error {
	resp, err := r.send(ctx, http.MethodGet, pathBackup, http.NoBody)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("receive backup: %w", err)
	}
	says := resp.Trailer.Get(backupTrailer) // read to its end: the trailer is there
	if says == backupWhole {
		return nil
	}
	var p problem
	if err := json.Unmarshal([]byte(says), &p); err != nil {
		return fmt.Errorf("receive backup: it is cut: %w", io.ErrUnexpectedEOF)
	}
	return &remoteError{p}
}

// listenAdmin opens the socket. The lock of the folder is ours, so what lies there is of a
// process that has died.
func listenAdmin(d folder) (net.Listener, error) {
	if err := d.remove(socketName); err != nil {
		return nil, err
	}
	path, done, err := d.socketPath()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: %w", socketName, ErrListen, err)
	}
	if err := os.Chmod(d.file(socketName), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect %s: %w", socketName, err), l.Close())
	}
	return l, nil
}
