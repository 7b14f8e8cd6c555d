package s3_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/s3"
)

// A gateway is versitygw, a real server of S3 over a folder.
type gateway struct {
	host    string
	roots   *x509.CertPool
	root    *http.Transport
	buckets atomic.Int64
}

// startGateway starts one over TLS, with versions, and ends it with the test.
func startGateway(t *testing.T) *gateway {
	t.Helper()
	program := gatewayProgram(t)
	folder := t.TempDir()
	for _, sub := range []string{"data", "versions"} {
		if err := os.Mkdir(filepath.Join(folder, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	g := &gateway{host: freeAddress(t)}
	g.certify(t, folder)
	// Not t.Context: the clean-up that ends the process runs after it is done.
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--port", g.host, "--access", access, "--secret", secret, "--keep-alive", "--quiet",
		"--cert", filepath.Join(folder, "cert.pem"), "--key", filepath.Join(folder, "key.pem"),
		"posix", "--versioning-dir", filepath.Join(folder, "versions"), filepath.Join(folder, "data"))
	said := &logBuffer{}
	cmd.Stdout, cmd.Stderr, cmd.Env = said, said, []string{"HOME=" + folder}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.root.CloseIdleConnections()
		stop()
		_ = cmd.Wait() // "killed", as it was
		if t.Failed() {
			t.Logf("versitygw said:\n%s", said)
		}
	})
	g.await(t, said)
	return g
}

// freeAddress returns a port of loopback that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certify borrows the certificate of httptest, which is for 127.0.0.1.
func (g *gateway) certify(t *testing.T, folder string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.roots = x509.NewCertPool()
	g.roots.AddCert(server.Certificate())
	g.root = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 32}
}

// await waits until the server listens.
func (g *gateway) await(t *testing.T, said *logBuffer) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		conn, err := net.DialTimeout("tcp", g.host, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		<-tick.C
	}
	t.Fatalf("versitygw does not listen:\n%s", said)
}

// admin is a client of its own, to do what a thief or an owner does.
func (g *gateway) admin(t *testing.T) *minio.Client {
	t.Helper()
	c, err := minio.New(g.host, &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Secure: true, Transport: g.root, Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gatewayKeys: root has no session token there.
func gatewayKeys() (accessKey, secretKey, sessionToken string) { return access, secret, "" }

// place makes a bucket and returns a place in it.
func (g *gateway) place(t *testing.T, versions, lock bool) s3.Config {
	t.Helper()
	name := "bucket-" + strconv.FormatInt(g.buckets.Add(1), 10)
	a := g.admin(t)
	if err := a.MakeBucket(t.Context(), name, minio.MakeBucketOptions{ObjectLocking: lock}); err != nil {
		t.Fatal(err)
	}
	if versions && !lock {
		if err := a.EnableVersioning(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return s3.Config{Address: "https://" + g.host + "/" + name + "/backups/ann", Credentials: gatewayKeys, Transport: g.root}
}

func TestConformanceGateway(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for name, c := range map[string]struct {
		versions, lock bool
		days           int
	}{
		"Plain":    {},
		"Versions": {versions: true},
		"Locked":   {lock: true, days: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cloudtest.Run(t, func(t *testing.T) cloud.Driver {
				config := g.place(t, c.versions, c.lock)
				config.LockDays = c.days
				return mustOpen(t, config)
			})
		})
	}
}
