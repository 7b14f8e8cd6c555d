package rclone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"coffer/cloud"
)

// driveType is what rclone calls Google Drive.
const driveType = "drive"

// Remotes returns the names of the remotes that the user has set up, without the
// colon, in rclone's order. A program that is missing is [cloud.ErrNoProgram].
func Remotes(ctx context.Context, program string, env []string) ([]string, error) {
	if program == "" {
		program = "rclone"
	}
	out, err := output(ctx, "", command(program, env, "--ask-password=false", "listremotes"))
	if err != nil {
		return nil, fmt.Errorf("list remotes: %w", err)
	}
	var names []string
	for _, r := range parseRemotes(out) {
		names = append(names, r.name)
	}
	return names, nil
}

// A remote is a line of "rclone listremotes --long".
type remote struct{ name, kind string }

// parseRemotes reads the lines "NAME: TYPE", where the type and more may follow or
// not. Other lines are left out.
func parseRemotes(out []byte) []remote {
	var all []remote
	for line := range strings.Lines(string(out)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if _, err := remoteName(name + ":"); !ok || err != nil {
			continue
		}
		r := remote{name: name}
		if words := strings.Fields(rest); len(words) > 0 {
			r.kind = words[0]
		}
		all = append(all, r)
	}
	return all
}

// check refuses a remote that is not there, or that has a better driver, and looks
// for the folder, or makes it. Nothing that is asked for here prints a secret:
// "rclone config" would.
func (d *Driver) check(ctx context.Context) error {
	kind, err := d.kindOf(ctx)
	if err != nil {
		return err
	}
	if kind == driveType {
		return fmt.Errorf("open rclone: %w", cloud.ErrUseDrive)
	}
	d.mu.Lock()
	d.kind = kind
	known := d.known
	d.mu.Unlock()
	if known || !d.c.Create { // what was there and is gone is not made again
		return d.exists(ctx)
	}
	if _, err := output(ctx, d.c.Remote, d.command("mkdir", "--retries", "1", "--", d.c.Remote)); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	d.mu.Lock()
	d.known = true
	d.mu.Unlock()
	return nil
}

// kindOf returns the remote's type. Remotes can also be set up by the environment,
// of which not every rclone tells.
func (d *Driver) kindOf(ctx context.Context) (string, error) {
	out, err := output(ctx, d.c.Remote, d.command("listremotes", "--long"))
	if err != nil {
		return "", fmt.Errorf("look for the remote: %w", err)
	}
	for _, r := range parseRemotes(out) {
		if r.name == d.name {
			return r.kind, nil
		}
	}
	variable := "RCLONE_CONFIG_" + strings.ToUpper(strings.ReplaceAll(d.name, "-", "_")) + "_TYPE="
	for _, entry := range d.c.Env {
		if kind, ok := strings.CutPrefix(entry, variable); ok && kind != "" {
			return kind, nil
		}
	}
	return "", fmt.Errorf("look for the remote: %w", cloud.ErrNoRemote)
}

// exists returns [cloud.ErrNoPlace] if the folder is not there, or is a file.
func (d *Driver) exists(ctx context.Context) error {
	out, err := output(ctx, d.c.Remote, d.command("lsjson", "--stat", "--no-modtime", "--no-mimetype", "--retries", "1", "--low-level-retries", "1", "--", d.c.Remote))
	if err != nil {
		return fmt.Errorf("look for the folder: %w", err)
	}
	var entry struct{ IsDir bool }
	if err := json.Unmarshal(out, &entry); err != nil {
		return cloud.Final(fmt.Errorf("look for the folder: %w: rclone's answer cannot be read", cloud.ErrUnsupported))
	}
	if !entry.IsDir {
		return fmt.Errorf("look for the folder: %w: it is a file", cloud.ErrNoPlace)
	}
	return nil
}

// about asks for the room of the service; what it does not tell is -1.
func (d *Driver) about(ctx context.Context) (cloud.Capacity, error) {
	unknown := cloud.Capacity{Free: -1, Total: -1}
	out, err := output(ctx, d.c.Remote, d.command("about", "--json", "--", d.c.Remote))
	if errors.Is(err, errUnknown) {
		return unknown, nil // most services do not support it
	}
	if err != nil {
		return cloud.Capacity{}, fmt.Errorf("ask for free space: %w", err)
	}
	var room struct{ Total, Free *int64 }
	if err := json.Unmarshal(out, &room); err != nil {
		return unknown, nil //nolint:nilerr // not told in words that are known here
	}
	if room.Free != nil && *room.Free >= 0 {
		unknown.Free = *room.Free
	}
	if room.Total != nil && *room.Total > 0 && *room.Total >= unknown.Free {
		unknown.Total = *room.Total
	}
	return unknown, nil
}
