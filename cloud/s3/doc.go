// Package s3 keeps objects in a bucket of Amazon S3, or of one of the many
// servers that speak its protocol.
//
// The words:
//
//   - A bucket is a flat map from keys to bytes, at a server. A place is a
//     bucket, or the part of one below a prefix: keys "PREFIX/NAME".
//   - A version is one state of a key in a bucket with versioning. There,
//     overwriting covers the old version and deleting puts a delete marker on
//     top of it; the old bytes stay below.
//   - A lock keeps one version until a date. In compliance mode nobody can take
//     it off or shorten it, who has the keys of the bucket's owner included.
//   - The probe is what is done once before the first Put: what this server
//     promises is tried out with an object of one byte, not believed.
//
// # What is sent
//
// Each object is one PUT, signed (AWS Signature, version 4) together with the
// SHA-256 of its bytes: no multipart uploads, no "aws-chunked" streams and no
// UNSIGNED-PAYLOAD, not even over TLS. A server that checks what it is told
// to check cannot store other bytes; one that does not is found out by the probe,
// and everything that it stores is read back and compared. While bytes are sent
// they are hashed, and the last of them is held back until the hash is right.
//
// If-None-Match: * makes a name the first writer's. Where the probe finds that
// the server ignores or refuses it, a name is looked up before it is put, and
// Caps.PutIfAbsent is false.
//
// # Ransomware
//
// Config.LockDays locks each object in compliance mode for so many days. Who
// steals the keys can then still delete (a delete marker hides the object) and
// overwrite (other bytes cover it), but no byte is lost: Get and Stat look
// through the versions of a key whose object is hidden, or not the one that
// its name promises, and take the one whose SHA-256 begins as the name does.
// Only the listing shows what the thief left of it; with Config.Recover List goes
// through all versions too. That is slower (one or two requests for each key
// that has several versions) and complete.
//
// What the lock promises: until the date no request with any key removes or
// changes the locked version. What it does not:
//
//   - The account can be closed, by its owner or by who has the root user; the
//     provider then deletes all. Bills that are not paid do the same.
//   - A bucket policy, a denied key or a changed encryption key (SSE-KMS) can
//     keep everybody from reading, as long as it stands.
//   - After the date a version is as vulnerable as any other. Objects that are
//     still needed must be locked again in time: [Driver.Retain].
//   - Somebody can put new objects with proper names; what is not sealed with
//     the user's key is noticed when it is opened.
//   - It is only as good as the server. The probe asks whether the lock is on the
//     first object; a server can lie.
//
// What Coffer itself deletes in a bucket with locks is removed where the lock
// is over and hidden where it is not. Nobody can tell such hidden objects from
// those that a thief has hidden, so Coffer never removes them later: give the
// bucket a lifecycle rule that expires noncurrent versions some days after the
// lock ends. In a bucket with versioning and no lock, Delete removes all
// versions at once.
//
// # Rights that the keys need
//
// On the bucket: s3:ListBucket (without it, missing objects look forbidden),
// s3:GetBucketLocation or a Config.Region; on its objects: s3:GetObject,
// s3:PutObject, s3:DeleteObject. With versioning also s3:GetBucketVersioning,
// s3:ListBucketVersions, s3:GetObjectVersion, s3:DeleteObjectVersion; with
// locks also s3:GetBucketObjectLockConfiguration, s3:GetObjectRetention and
// s3:PutObjectRetention.
//
// Sources: Amazon S3 API Reference (2006-03-01) and User Guide, "Using S3 Object
// Lock", "Checking object integrity", "Conditional writes"; RFC 9110 (ranges,
// conditions, Retry-After).
package s3
