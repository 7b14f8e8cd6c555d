package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A networker keeps what all places share.
type networker interface {
	Settings() app.Settings
	SaveSettings(s app.Settings) error
	SaveProxyPassword(ctx context.Context, password app.Secret) error
}

type networkFlags struct {
	up, down, proxy, caFile, metered, proxyPassword string
}

func (p *program) networkCommand() *cobra.Command {
	var f networkFlags
	var cmd *cobra.Command
	cmd = p.command("network", "Show or set speed limits, proxy and certificates", `
Without flags it shows what is set. A limit is for all places together and holds at once,
also for a backup that is running in the window.

  coffer network --up 500KiB --down none
  coffer network --proxy socks5://127.0.0.1:1080
  coffer network --proxy ''                  as the environment says (HTTPS_PROXY, NO_PROXY)
  coffer network --ca-file company-ca.pem
  coffer network --metered go-on`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withProfile(func(a profile, _ app.Config) error { return p.network(ctx, a, cmd, f) })
		})
	flags := cmd.Flags()
	flags.StringVar(&f.up, "up", "", "upload at most `SIZE` a second, or none for no limit")
	flags.StringVar(&f.down, "down", "", "download at most `SIZE` a second, or none for no limit")
	flags.StringVar(&f.proxy, "proxy", "", "`ADDRESS` of the proxy, without its password; direct for none")
	flags.StringVar(&f.proxyPassword, "proxy-password-file", "", "`FILE` with the password of the proxy (- is standard input)")
	flags.StringVar(&f.caFile, "ca-file", "", "`FILE` with certificates that are trusted beside the system's")
	flags.StringVar(&f.metered, "metered", "", "on a network that costs by the byte: `wait` or go-on")
	return cmd
}

func (p *program) network(ctx context.Context, a networker, cmd *cobra.Command, f networkFlags) error {
	s := a.Settings()
	changed, err := f.apply(cmd, &s)
	if err != nil {
		return err
	}
	if changed {
		if err := a.SaveSettings(s); err != nil {
			return networkTrouble(err)
		}
	}
	if f.proxyPassword != "" {
		secret, err := p.readSecretFile(f.proxyPassword)
		if err != nil {
			return err
		}
		defer secret.Wipe()
		if err := a.SaveProxyPassword(ctx, secret); err != nil {
			return err
		}
	}
	return p.sayNetwork(s)
}

// networkTrouble says what is wrong with a value that only the engine understands.
func networkTrouble(err error) error {
	if !errors.Is(err, app.ErrSettings) {
		return err
	}
	return &commandError{
		code: app.CodeUsage, err: err, says: "One of these values cannot be used.",
		advice: "A proxy is an address such as http://proxy.example:3128 or socks5://127.0.0.1:1080, certificates are a file in PEM. Nothing was changed.",
	}
}

// apply changes the settings that flags name.
func (f networkFlags) apply(cmd *cobra.Command, s *app.Settings) (changed bool, err error) {
	set := cmd.Flags().Changed
	for _, limit := range []struct {
		flag, text string
		value      *int64
	}{{"up", f.up, &s.UploadLimit}, {"down", f.down, &s.DownloadLimit}} {
		if !set(limit.flag) {
			continue
		}
		if *limit.value, err = parseLimit(limit.text); err != nil {
			return false, usage("The value of --"+limit.flag+" is not a speed.", "Write it like 500KiB or 2MB, or none.")
		}
		changed = true
	}
	if set("proxy") {
		s.Proxy, changed = f.proxy, true
	}
	if set("ca-file") {
		if s.CAFile = f.caFile; f.caFile != "" {
			if s.CAFile, err = filepath.Abs(f.caFile); err != nil {
				return false, fmt.Errorf("find working folder: %w", err)
			}
		}
		changed = true
	}
	if set("metered") {
		if f.metered != app.MeteredWait && f.metered != app.MeteredGoOn {
			return false, usage("The value of --metered is not known.", "It is wait or go-on.")
		}
		s.Metered, changed = f.metered, true
	}
	return changed, nil
}

// parseLimit reads bytes a second; 0 is no limit.
func parseLimit(text string) (int64, error) {
	if text == "none" || text == "0" {
		return 0, nil
	}
	return parseSize(strings.TrimSuffix(text, "/s"))
}

func (p *program) sayNetwork(s app.Settings) error {
	metered := s.Metered
	if metered == "" {
		metered = app.MeteredWait
	}
	if p.console.json {
		return p.console.record("summary", struct {
			Up      int64  `json:"up"` // bytes a second; 0: no limit
			Down    int64  `json:"down"`
			Proxy   string `json:"proxy"`
			CAFile  string `json:"ca_file"`
			Metered string `json:"metered"`
		}{s.UploadLimit, s.DownloadLimit, s.Proxy, s.CAFile, metered})
	}
	proxy, certificates := "as the environment says", "the system's"
	if s.Proxy != "" {
		proxy = printable(s.Proxy)
	}
	if s.CAFile != "" {
		certificates += ", and " + printable(s.CAFile)
	}
	return p.console.result("Upload:        %s\nDownload:      %s\nProxy:         %s\nCertificates:  %s\nMetered:       %s",
		limitText(s.UploadLimit), limitText(s.DownloadLimit), proxy, certificates, metered)
}

func limitText(n int64) string {
	if n == 0 {
		return "as fast as it goes"
	}
	return "at most " + bytesText(n) + " a second"
}
