package s3_test

import (
	"bytes"
	"net/url"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/s3"
)

// fakeVersions is gofakes3 with versions. It shows that there are servers that
// hold no checksum against the bytes, and tell that of an older version with the
// bytes of a newer one: the right version is found by reading.
func fakeVersions(t *testing.T) (s3.Config, *minio.Client) {
	t.Helper()
	c := fake(t, nil)
	u, err := url.Parse(c.Address)
	if err != nil {
		t.Fatal(err)
	}
	a, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Secure: true, Transport: c.Transport, Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	must(t, "turn versions on", a.EnableVersioning(t.Context(), bucket))
	return c, a
}

func TestConformanceFakeVersions(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		c, _ := fakeVersions(t)
		return mustOpen(t, c)
	})
}

// TestRecoverWithWrongSums: a Store gets the right bytes where the server tells the
// sum of ours with the thief's.
func TestRecoverWithWrongSums(t *testing.T) {
	c, a := fakeVersions(t)
	d := mustOpen(t, c)
	want := map[string][]byte{}
	for i := range 6 {
		data := content(i, 1000+i)
		name := mustPut(t, d, data)
		want[name] = data
		if i%2 == 0 {
			overwrite(t, a, bucket, name, bytes.Repeat([]byte("x"), len(data)))
		}
		if i%3 == 0 {
			must(t, "delete", a.RemoveObject(t.Context(), bucket, name, minio.RemoveObjectOptions{}))
		}
	}
	c.Recover = true
	fresh := mustOpen(t, c)
	if seen := listed(t, fresh, ""); len(seen) != len(want) {
		t.Fatalf("%d objects recovered, want %d", len(seen), len(want))
	}
	for name, data := range want {
		for _, d := range []cloud.Driver{fresh, mustOpen(t, c)} {
			got, err := cloud.New(d, cloud.Options{}).Get(t.Context(), name)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("get %s: %d bytes, %v", name, len(got), err)
			}
		}
		must(t, "put again", mustOpen(t, c).Put(t.Context(), name, cloud.Bytes(data)))
	}
}
