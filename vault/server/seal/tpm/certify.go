package tpm

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/attest"
	"coffer/vault/server/seal"
)

// attestationKey makes the chip's attestation key: from the endorsement seed, so it is the
// same one for the life of the chip.
func (k *call) attestationKey() (*object, error) {
	hierarchy := tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: password(k.chip.config.EndorsementAuth)}
	o, err := k.primary(hierarchy, attest.AttestationPublic(tpm2.TPMSECCPoint{}))
	if err != nil {
		return nil, fmt.Errorf("make attestation key: %w", err)
	}
	return o, nil
}

// AttestationKey returns the public part of the chip's attestation key, an encoded
// TPMT_PUBLIC. It belongs into the vault's signed bundle. [seal.ErrHardware].
func (c *Chip) AttestationKey(ctx context.Context) (public []byte, err error) {
	err = c.do(ctx, "read attestation key", func(k *call) error {
		o, err := k.attestationKey()
		if err != nil {
			return err
		}
		public = tpm2.Marshal(*o.public)
		return k.flush(o.handle)
	})
	return public, err
}

// Where the makers of chips put their certificates (TCG EK Credential Profile, 2.2.1.4).
const (
	certificateECC = 0x01C0000A
	certificateRSA = 0x01C00002
)

// EndorsementCertificate returns the certificate (DER, X.509) that the maker of the chip has
// put into it, for operators who want to see that it is a real one. [ErrNoCertificate],
// [seal.ErrHardware].
func (c *Chip) EndorsementCertificate(ctx context.Context) (der []byte, err error) {
	err = c.do(ctx, "read certificate", func(k *call) error {
		for _, handle := range []uint32{certificateECC, certificateRSA} {
			der, err = k.readAll(handle)
			if !errors.Is(err, errNoIndex) {
				return err
			}
		}
		return ErrNoCertificate
	})
	return der, err
}

// maxCertificate bounds what is read for a certificate, in bytes; maxRead one piece of it.
const (
	maxCertificate = 8 << 10
	maxRead        = 512
)

// readAll reads one DER value from an index, which may have a tail of padding.
func (k *call) readAll(handle uint32) ([]byte, error) {
	name, err := k.indexName(handle)
	if err != nil {
		return nil, err
	}
	public, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(handle)}.Execute(k)
	if err != nil {
		return nil, fmt.Errorf("look at certificate: %w", err)
	}
	area, err := public.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("look at certificate: %w", err)
	}
	index := tpm2.NamedHandle{Handle: tpm2.TPMHandle(handle), Name: tpm2.TPM2BName{Buffer: name}}
	size := min(int(area.DataSize), maxCertificate)
	data := make([]byte, 0, size)
	for len(data) < size {
		r, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    index, Size: uint16(min(size-len(data), maxRead)), Offset: uint16(len(data)),
		}.Execute(k)
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		if len(r.Data.Buffer) == 0 {
			return nil, errors.New("read certificate: nothing comes")
		}
		data = append(data, r.Data.Buffer...)
	}
	var value asn1.RawValue
	if _, err := asn1.Unmarshal(data, &value); err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return value.FullBytes, nil
}

// Evidence returns what proves to a client that the chip holds this key and counts, over
// nonce: see attest.Verify. [seal.ErrUnarmed] for a key that was never armed: there is no
// count to certify. [seal.ErrReference].
func (c *Counting) Evidence(ctx context.Context, id seal.ID, ref []byte, nonce [32]byte) (evidence []byte, err error) {
	r, err := c.reference(id, ref)
	if err != nil {
		return nil, err
	}
	e := attest.Evidence{Handle: r.handle, Tag: r.tag()}
	if e.Key, err = keyPoint(r.public); err != nil {
		return nil, err
	}
	err = c.chip.do(ctx, "certify", func(k *call) error {
		name, err := k.armedName(r)
		if err != nil {
			return err
		}
		return k.loadKey(r, func(key *object) error { return k.certify(&e, key, name, nonce) })
	})
	if err != nil {
		return nil, err
	}
	return e.Encode(), nil
}

func keyPoint(public []byte) ([attest.PointSize]byte, error) {
	foreign := fmt.Errorf("read key: %w", seal.ErrReference)
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return [attest.PointSize]byte{}, foreign
	}
	point, err := area.Unique.ECC()
	if err != nil {
		return [attest.PointSize]byte{}, foreign
	}
	return attest.Compress(point)
}

func (k *call) certify(e *attest.Evidence, key *object, index tpm2.TPM2BName, nonce [32]byte) error {
	signer, err := k.attestationKey()
	if err != nil {
		return err
	}
	return errors.Join(k.certifyWith(signer, e, key, index, nonce), k.flush(signer.handle))
}

func (k *call) certifyWith(signer *object, e *attest.Evidence, key *object, index tpm2.TPM2BName, nonce [32]byte) error {
	scheme := tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull} // the signer's own
	data := tpm2.TPM2BData{Buffer: nonce[:]}
	made, err := tpm2.Certify{
		ObjectHandle: key.auth(), SignHandle: signer.auth(), QualifyingData: data, InScheme: scheme,
	}.Execute(k)
	if err != nil {
		return fmt.Errorf("certify key: %w", err)
	}
	counted, err := tpm2.NVCertify{
		SignHandle: signer.auth(), AuthHandle: k.owner(),
		NVIndex:        tpm2.NamedHandle{Handle: tpm2.TPMHandle(e.Handle), Name: index},
		QualifyingData: data, InScheme: scheme, Size: attest.PinSize,
	}.Execute(k)
	if err != nil {
		return fmt.Errorf("certify index: %w", err)
	}
	if e.Certify, err = statement(made.CertifyInfo, made.Signature); err != nil {
		return err
	}
	e.Counter, err = statement(counted.CertifyInfo, counted.Signature)
	return err
}

func statement(info tpm2.TPM2BAttest, signature tpm2.TPMTSignature) (attest.Statement, error) {
	s := attest.Statement{Attest: info.Bytes()}
	sig, err := signature.Signature.ECDSA()
	if err != nil || len(sig.SignatureR.Buffer) > 32 || len(sig.SignatureS.Buffer) > 32 {
		return s, errors.New("the TPM signs in another way")
	}
	copy(s.Signature[32-len(sig.SignatureR.Buffer):32], sig.SignatureR.Buffer)
	copy(s.Signature[64-len(sig.SignatureS.Buffer):], sig.SignatureS.Buffer)
	return s, nil
}
