#!/usr/bin/env python3
"""Tests of coffer_reader.py: the vectors, a repository built here by hand, the sample that never changes, and, where
build/coffer is there, what the Coffer of this tree has just written. Run it directly: docs/reader/test_coffer_reader.py
"""
import base64, contextlib, hashlib, io, json, os, pathlib, shutil, stat, struct, subprocess, sys, tempfile, unittest
import cbor2, zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coffer_reader as reader  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "docs" / "testdata"
BINARY = ROOT / "build" / "coffer"


def run(*args):
    """Runs the reader as a program; gives (exit status, standard output, standard error)."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["coffer_reader.py", *map(str, args)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = reader.main()
    except SystemExit as e:
        status = e.code
    finally:
        sys.argv = argv
    return status, out.getvalue(), err.getvalue()


class Writer:
    """Writes a small repository the way docs/format.md says, so that the reader is not only tested against Coffer."""

    def __init__(self, folder, root_key):
        self.folder, self.root_key = folder, root_key
        self.id = reader.hkdf(root_key, b"", b"coffer/1/repository", 16)
        self.chunk_key = reader.hkdf(root_key, b"", b"coffer/1/chunk-id", 32)
        self.chunks, self.packs = [], []

    def chunk(self, data):
        self.chunks.append(data)
        return reader.blake3_keyed(self.chunk_key, data)

    def sealer(self, kind):
        salt = hashlib.sha256(b"%d" % len(os.listdir(self.folder)) + kind).digest()
        label = b"coffer/1/head" if kind == b"h" else b"coffer/1/data"
        key = reader.hkdf(reader.hkdf(self.root_key, b"", label, 32), salt, b"coffer/1/object" + kind, 64)
        header = b"COFFER\x01\x01" + kind + bytes(7) + self.id + salt + key[32:]
        seal = lambda frame, number, plain, extra=b"": AESGCM(key[:32]).encrypt(struct.pack(">IQ", frame, number), plain, header + extra)
        return header, seal

    def store(self, prefix, data):
        name = f"{prefix}-{hashlib.sha256(data).hexdigest()[:40]}"
        (self.folder / name).write_bytes(data)
        return name

    @staticmethod
    def pad(payload, overhead):
        length = overhead + len(payload) + 1
        return payload + b"\x80" + bytes(reader.padme(length) - length)

    def pack(self, groups=1):
        """One pack of all chunks so far, in so many segments."""
        header, seal = self.sealer(b"p")
        frames, rows = b"", b""
        for number in range(groups):
            chunks = self.chunks[number::groups]
            plain = b"".join(chunks)
            squeezed = zstandard.ZstdCompressor().compress(plain)
            method = int(len(squeezed) < len(plain))  # section 5.2: compressed only where that makes it shorter
            frame = seal(1, number, squeezed if method else plain, struct.pack(">IB", len(plain), method))
            rows += struct.pack(">IIBI", len(frame), len(plain), method, len(chunks))
            rows += b"".join(reader.blake3_keyed(self.chunk_key, c) + struct.pack(">I", len(c)) for c in chunks)
            frames += frame
        table = struct.pack(">I", groups) + rows
        footer = seal(2, 0, self.pad(table, 96 + len(frames) + 16 + 24))
        data = header + frames + footer + seal(3, 0, struct.pack(">II", len(footer), groups))
        name, self.chunks = self.store("pack", data), []
        self.packs.append((bytes.fromhex(name[5:]), len(data), table))

    def index(self):
        header, seal = self.sealer(b"i")
        body = struct.pack(">I", len(self.packs)) + b"".join(n + struct.pack(">Q", size) + table for n, size, table in sorted(self.packs))
        return self.store("index", header + seal(4, 0, self.pad(body, 96 + 16)))

    def snapshot(self, root, **changes):
        body = {1: [100, 0], 2: [101, 5], 3: bytes(16), 4: "ANN-LAPTOP", 5: "linux", 6: "ann", 7: [b"/home"], 8: root,
                10: 1, 11: 1, 12: 5, 13: 0, 14: 1, 17: "by hand"}
        body |= {int(k[1:]): v for k, v in changes.items()}
        header, seal = self.sealer(b"s")
        return self.store("snap", header + seal(5, 0, self.pad(cbor2.dumps(body, canonical=True), 96 + 16)))

    def head(self):
        header, seal = self.sealer(b"h")
        public = cbor2.dumps({1: 1, 2: 100, 3: "ANN-LAPTOP", 4: "linux"}, canonical=True)
        public = struct.pack(">I", len(public)) + public
        return self.store("head", header + public + seal(6, 0, b"", public))

    def folder_of(self, *entries):
        return self.chunk(cbor2.dumps(list(entries), canonical=True))


def entry(name, kind, **more):
    out = {1: name, 2: kind, 3: 0o755 if kind == 1 else 0o640, 4: [1_700_000_000, 123_456_789], 7: os.geteuid(), 8: os.getegid()}
    return out | {int(k[1:]): v for k, v in more.items()}


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.tmp = pathlib.Path(scratch.name)
        self.key = bytes(range(32))
        self.key_file = self.tmp / "key"
        self.key_file.write_text(self.key.hex() + "\n")
        self.repo = self.tmp / "repo"
        self.repo.mkdir()

    def small(self):
        """A repository with every kind of entry; gives its writer."""
        w = Writer(self.repo, self.key)
        text, other = w.chunk(b"hello"), w.chunk(b"world" * 300)
        w.pack()
        many = w.chunk(text + other)  # a list of depth 1
        inner = w.folder_of(
            entry(b"a", 0, _11=5, _12=text),
            entry(b"bad-\xff\n", 0, _11=0),
            entry(b"deep", 0, _11=1505, _12=many, _13=1),
            entry(b"empty", 1),
            entry(b"hard1", 0, _11=5, _12=text, _16=7, _6=9),
            entry(b"hard2", 0, _11=5, _12=text, _16=7, _6=9),
            entry(b"holes", 0, _11=4105, _12=text, _14=[[0, 3], [5, 4097]]),
            entry(b"link", 2, _15=b"../nowhere"),
            entry(b"lost", 0, _11=99, _18=3, _19="input/output error"))
        w.root = w.folder_of(entry(b"home", 1, _12=inner))
        w.pack(groups=2)
        w.index()
        w.head()
        w.snapshot(w.root)
        return w


class Vectors(unittest.TestCase):
    def test_crypto(self):
        v = json.loads((TESTDATA / "vectors" / "crypto.json").read_text())
        root, checked = bytes.fromhex(v["RootKey"]), 0
        for label, want in v["Derived"].items():
            self.assertEqual(reader.hkdf(root, b"", label.encode(), len(want) // 2).hex(), want, label)
            checked += 1
        for c in v["ChunkIDs"]:
            self.assertEqual(reader.blake3_keyed(bytes.fromhex(v["Derived"]["coffer/1/chunk-id"]), bytes.fromhex(c["Data"])).hex(), c["ID"])
            checked += 1
        for o in v["Objects"]:
            label = "coffer/1/head" if o["Kind"] == "h" else "coffer/1/data"
            key = reader.hkdf(bytes.fromhex(v["Derived"][label]), bytes.fromhex(o["Salt"]), b"coffer/1/object" + o["Kind"].encode(), 64)
            header = bytes.fromhex(o["Header"])
            self.assertEqual(header, b"COFFER\x01\x01" + o["Kind"].encode() + bytes(7) + bytes.fromhex(v["Derived"]["coffer/1/repository"] + o["Salt"]) + key[32:])
            for f in o["Frames"]:
                nonce = struct.pack(">IQ", f["Type"], f["Number"])
                plain = AESGCM(key[:32]).decrypt(nonce, bytes.fromhex(f["Sealed"]), header + bytes.fromhex(f["Extra"]))
                self.assertEqual(plain.hex(), f["Plaintext"])
                checked += 1
        self.assertGreater(checked, 15)

    def test_blake3_over_many_pieces(self):
        # From BLAKE3's own test vectors (keyed_hash, the first 32 bytes).
        for n, want in ((0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"),
                        (1025, "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"),
                        (31744, "efa53b389ab67c593dba624d898d0f7353ab99e4ac9d42302ee64cbf9939a419")):
            data = bytes(i % 251 for i in range(n))
            self.assertEqual(reader.blake3_keyed(b"whats the Elvish word for friend", data).hex(), want)

    def test_padme(self):
        for length, want in ((1, 1), (9, 10), (100, 104), (1000, 1024), (1 << 20, 1 << 20), ((1 << 20) + 1, (1 << 20) + (1 << 15))):
            self.assertEqual(reader.padme(length), want)


class ByHand(Case):
    def test_list_and_check(self):
        self.small()
        self.assertEqual(run("check", self.repo, "--key-file", self.key_file)[::2], (0, ""))
        status, out, err = run("list", self.repo, "--key-file", self.key_file)
        entries = {e["path"]: e for e in map(json.loads, out.splitlines())}
        self.assertEqual((status, err, len(entries)), (0, "", 10))
        self.assertEqual(entries["/home/deep"]["size"], 1505)
        odd = [e for e in entries.values() if "path_base64" in e]
        self.assertEqual([base64.b64decode(e["path_base64"]) for e in odd], [b"/home/bad-\xff\n"])

    def test_extract(self):
        self.small()
        status, _, err = run("extract", self.repo, self.tmp / "out", "--key-file", self.key_file)
        self.assertEqual((status, err), (0, ""))
        home = self.tmp / "out" / "home"
        self.assertEqual((home / "a").read_bytes(), b"hello")
        self.assertEqual((home / "deep").read_bytes(), b"hello" + b"world" * 300)
        self.assertEqual((home / "holes").read_bytes(), bytes(3) + b"he" + bytes(4097) + b"llo")
        self.assertEqual(os.readlink(home / "link"), "../nowhere")
        self.assertEqual((home / "hard1").stat().st_ino, (home / "hard2").stat().st_ino)
        self.assertEqual((home / "lost").stat().st_size, 0)
        for path in (home, home / "a", home / "link", home / "empty"):
            self.assertEqual(path.lstat().st_mtime_ns, 1_700_000_000_123_456_789, path)
        self.assertEqual(stat.S_IMODE((home / "a").stat().st_mode), 0o640)
        self.assertEqual(run("extract", self.repo, self.tmp / "out", "--key-file", self.key_file)[0],
                         "the destination is not empty: nothing is written over what is there")

    def test_a_pack_without_an_index_is_read_by_its_footer(self):
        self.small()
        for path in self.repo.glob("index-*"):
            path.unlink()
        self.assertEqual(run("extract", self.repo, self.tmp / "out", "--key-file", self.key_file)[::2], (0, ""))

    def test_every_changed_byte_and_cut_is_found_and_named(self):
        self.small()
        kinds = set()
        for path in list(self.repo.iterdir()):
            good = path.read_bytes()
            kinds.add(path.name.partition("-")[0])
            bad = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1:] for i in range(0, len(good), 7)]
            bad += [good[:i] for i in range(0, len(good), 53)] + [good + b"\0"]
            for data in bad:
                path.write_bytes(data)
                self.named(path.name)
                # Whoever has no key but renames the object to fit its bytes is caught by the seals.
                new = path.with_name(path.name.partition("-")[0] + "-" + hashlib.sha256(data).hexdigest()[:40])
                path.rename(new)
                status, out, err = run("check", self.repo, "--key-file", self.key_file)
                self.assertTrue(new.name in err or len(data) > 32 and data[16:32] != good[16:32], (new.name, err))
                new.unlink()
            path.write_bytes(good)
        self.assertEqual(kinds, {"head", "pack", "index", "snap"})

    def named(self, name):
        status, _, err = run("check", self.repo, "--key-file", self.key_file)
        self.assertEqual(status, 1)
        self.assertIn(name, err)

    def test_a_missing_pack_is_named(self):
        self.small()
        for path in list(self.repo.glob("pack-*")):
            good = path.read_bytes()
            path.unlink()
            self.named(path.name)
            path.write_bytes(good)

    def test_wrong_key_newer_format_and_no_repository(self):
        self.assertEqual(run("list", self.repo, "--key-file", self.key_file)[0], "there is no Coffer repository here")
        w = self.small()
        self.key_file.write_text("f" * 64)
        self.assertEqual(run("list", self.repo, "--key-file", self.key_file)[0], "this key is of another repository")
        self.key_file.write_text("f" * 63)
        self.assertIn("64 digits", run("list", self.repo, "--key-file", self.key_file)[0])
        self.key_file.write_text(self.key.hex())
        newer = bytearray(next(self.repo.glob("snap-*")).read_bytes())
        newer[6] = 2
        w.store("snap", bytes(newer))
        self.assertIn("newer Coffer (format 2)", run("check", self.repo, "--key-file", self.key_file)[2])

    def test_what_the_format_forbids_is_refused(self):
        reader.read_entry(entry(b"x", 0, _11=0))  # the good one that the others are made from
        forbidden = {
            "dot": entry(b"..", 0, _11=0), "slash": entry(b"a/b", 0, _11=0), "nul": entry(b"a\0", 0, _11=0), "empty": entry(b"", 0, _11=0),
            "type": entry(b"x", 3), "mode": entry(b"x", 0, _11=0) | {3: 0o10000}, "unknown key": entry(b"x", 0, _11=0, _24=1),
            "zero value": entry(b"x", 0, _11=0, _6=0), "no size": entry(b"x", 0), "size of a folder": entry(b"x", 1, _11=5),
            "hole beyond the end": entry(b"x", 0, _11=5, _14=[[0, 6]]), "holes touch": entry(b"x", 0, _11=9, _14=[[0, 3], [3, 3]]),
            "bool": entry(b"x", 0, _11=False), "float": entry(b"x", 0, _11=1.0), "nanoseconds": entry(b"x", 0, _11=0) | {4: [0, 10**9]},
            "reason without state": entry(b"x", 0, _11=0, _19="because"), "depth alone": entry(b"x", 0, _11=0, _13=1),
            "bad range outside holes": entry(b"x", 0, _11=5, _14=[[0, 5]], _18=2, _20=[[4, 2]])}
        for what, e in forbidden.items():
            with self.subTest(what):
                self.assertRaises(reader.Damaged, reader.read_entry, e)

    def test_only_deterministic_cbor_is_taken(self):
        self.assertEqual(reader.canonical(bytes.fromhex("a2010a0241ff")), {1: 10, 2: b"\xff"})
        forms = {"long integer": "1817" "00", "ten in two bytes": "a101180a", "keys descend": "a2020a010b", "key twice": "a2010a010b",
                 "indefinite map": "bf010aff", "indefinite bytes": "5f4101ff", "cut": "a2010a02", "bytes behind": "a1010a00", "nothing": "",
                 "text that is not UTF-8": "61ff", "length too long": "5bffffffffffffffff00"}
        for what, form in forms.items():
            with self.subTest(what):
                self.assertRaises(reader.Damaged, reader.canonical, bytes.fromhex(form))

    def test_names_must_ascend_and_padding_must_be_right(self):
        w = Writer(self.repo, self.key)
        root = w.folder_of(entry(b"b", 1), entry(b"a", 1))
        w.pack()
        w.index()
        w.snapshot(root)
        status, _, err = run("check", self.repo, "--key-file", self.key_file)
        self.assertEqual(status, 1)
        self.assertIn("not ascending", err)
        w.pad = lambda payload, overhead: Writer.pad(payload, overhead) + b"\0"
        name = w.snapshot(root)
        self.assertIn(name + ": the padding is not", run("check", self.repo, "--key-file", self.key_file)[2])


class Sample(Case):
    """docs/testdata/sample-v1 was written once and never changes: format 1 stays readable for ever."""

    def setUp(self):
        super().setUp()
        self.sample, self.key_file = TESTDATA / "sample-v1", TESTDATA / "sample-v1.key"
        self.expected = json.loads((TESTDATA / "sample-v1.expected.json").read_text())
        self.assertEqual(len(self.expected["Snapshots"]), 3)

    def test_heads_and_snapshots(self):
        repo = reader.Repository(self.sample, bytes.fromhex(self.expected["RootKey"]))
        self.assertEqual(repo.damaged, {})
        heads = [{"Name": n[5:], "Generation": h[1], "MadeAt": h[2], "Computer": h[3], "OS": h[4]} for n, h in repo.heads.items()]
        self.assertEqual(heads, [{k: v for k, v in h.items() if k not in ("Vault", "Passphrase")} for h in self.expected["Heads"]])
        for want in self.expected["Snapshots"]:
            s = repo.snapshots["snap-" + want["Name"]]
            got = {"Name": want["Name"], "Started": s[1], "Ended": s[2], "Device": s[3].hex(), "Computer": s[4], "OS": s[5], "User": s[6],
                   "Sources": [base64.b64encode(p).decode() for p in s[7]], "Files": s[10], "Folders": s[11], "Bytes": s[12],
                   "Unreadable": s[13], "Sequence": s[14], "Tool": s[17], "Exclude": s.get(18, [])}
            got |= {"Previous": s[15].hex()} if 15 in s else {}
            got |= {"Seen": [[d.hex(), str(n), name.hex()] for d, n, name in s[16]]} if 16 in s else {}
            self.assertEqual(got, {k: v for k, v in want.items() if k != "Entries"})

    def test_every_field_of_every_entry(self):
        repo, seen = reader.Repository(self.sample, bytes.fromhex(self.expected["RootKey"])), 0
        for want in self.expected["Snapshots"]:
            bad = {}
            got = [self.fields(path, e) for path, e in repo.walk(repo.snapshots["snap-" + want["Name"]], bad)]
            self.assertEqual(bad, {})
            for a, b in zip(sorted(got, key=lambda e: e["path_base64"]), sorted(want["Entries"], key=lambda e: e["path_base64"]), strict=True):
                self.assertEqual(a, {k: v for k, v in b.items() if k not in ("path", "sha256")})
                seen += 1
        self.assertGreater(seen, 600)

    @staticmethod
    def fields(path, e):
        """An entry in the words of sample-v1.expected.json."""
        b64 = lambda data: base64.b64encode(data).decode()
        names = {3: "mode", 4: "mtime", 5: "ctime", 6: "inode", 7: "uid", 8: "gid", 11: "size", 13: "depth", 14: "holes", 16: "device",
                 18: "state", 19: "reason", 20: "unreadable", 21: "windows_attributes", 22: "flags", 23: "btime"}
        out = {names[k]: v for k, v in e.items() if k in names}
        out |= {"path_base64": b64(path), "type": ("file", "folder", "symlink")[e[2]]}
        out |= {word: e[k].decode() for k, word in ((9, "user"), (10, "group")) if k in e}
        out |= {"chunks": len(e[12]) // 32} if 12 in e else {}
        out |= {"link_base64": b64(e[15])} if 15 in e else {}
        out |= {"xattrs_base64": [[b64(n), b64(v)] for n, v in e[17]]} if 17 in e else {}
        return out

    def test_list_and_extract(self):
        for want in self.expected["Snapshots"]:
            with self.subTest(want["Name"]):
                args = [self.sample, "--key-file", self.key_file, "--snapshot", want["Name"][:12]]
                status, out, err = run("list", *args)
                self.assertEqual((status, err, len(out.splitlines())), (0, "", len(want["Entries"])))
                dest = self.tmp / want["Name"]
                self.assertEqual(run("extract", args[0], dest, *args[1:])[::2], (0, ""))
                files = 0
                for e in want["Entries"]:
                    path = pathlib.Path(os.fsdecode(os.fsencode(dest) + base64.b64decode(e["path_base64"])))
                    st = path.lstat()
                    self.assertEqual(st.st_mtime_ns, e["mtime"][0] * 10**9 + e["mtime"][1], path)
                    if e["type"] == "symlink":
                        self.assertEqual(os.fsencode(os.readlink(path)), base64.b64decode(e["link_base64"]))
                        continue
                    self.assertEqual(stat.S_IMODE(st.st_mode), e["mode"], path)
                    if "sha256" in e:
                        files += 1
                        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), e["sha256"], path)
                self.assertGreater(files, 1)

    def test_check(self):
        self.assertEqual(run("check", self.sample, "--key-file", self.key_file)[::2], (0, ""))


def tree(folder):
    """What a folder holds, to compare: path below it -> what it is."""
    found = {}
    for path, folders, files in os.walk(os.fsencode(folder)):
        for name in folders + files:
            full = path + b"/" + name
            st = os.lstat(full)
            what = os.readlink(full) if stat.S_ISLNK(st.st_mode) else hashlib.sha256(pathlib.Path(os.fsdecode(full)).read_bytes()).hexdigest() if stat.S_ISREG(st.st_mode) else b""
            found[full[len(os.fsencode(folder)):]] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_mtime_ns, what)
    return found


@unittest.skipUnless(BINARY.exists(), "build/coffer is not built: make cli")
class FromThisTree(Case):
    """What the Coffer of this tree writes, this reader reads."""

    def coffer(self, *args):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.tmp), "COFFER_HOME": str(self.tmp / "profile")}
        return subprocess.run([BINARY, *args], env=env, check=True, capture_output=True, text=True).stdout

    def test_backup_then_extract(self):
        source, place = self.tmp / "source", self.tmp / "place"
        (source / "sub" / "empty").mkdir(parents=True)
        (source / "text").write_text("some words\n" * 5000)
        (source / "noise").write_bytes(os.urandom(100_000))
        (source / "sub" / "nothing").touch()
        (source / "sub" / "odd name \n ünïcode").write_text("x")
        pathlib.Path(os.fsdecode(os.fsencode(source) + b"/bad-\xff")).write_text("y")
        (source / "link").symlink_to("sub/nowhere")
        os.link(source / "text", source / "sub" / "same text")
        os.setxattr(source / "noise", "user.origin", b"a\0b")
        with (source / "sparse").open("wb") as f:
            f.seek(300_000)
            f.write(b"end")
        for i in range(200):
            (source / "sub" / f"file-{i}").write_text(f"{i} " * i)
        os.chmod(source / "text", 0o4750)
        os.utime(source / "noise", ns=(1, -1_500_000_000))
        self.key_file.write_text(self.coffer("setup", "--to", str(place), "--new-key", "--keep-key", "file", str(source)))
        self.coffer("backup")
        want = tree(source)
        (source / "text").write_text("changed")
        self.coffer("backup")
        self.assertEqual(run("check", place, "--key-file", self.key_file)[::2], (0, ""))
        self.assertEqual(run("extract", place, self.tmp / "out", "--key-file", self.key_file)[::2], (0, ""))
        out = pathlib.Path(str(self.tmp / "out") + str(source))
        self.assertEqual(tree(out), tree(source))
        self.assertEqual(os.getxattr(out / "noise", "user.origin"), b"a\0b")
        self.assertEqual((out / "text").stat().st_ino, (out / "sub" / "same text").stat().st_ino)
        first = json.loads(self.coffer("--json", "snapshots").splitlines()[0])
        status = run("extract", place, self.tmp / "out1", "--key-file", self.key_file, "--snapshot", (first.get("snapshot") or first["id"])[:12])
        self.assertEqual(status[::2], (0, ""))
        self.assertEqual(tree(str(self.tmp / "out1") + str(source)), want)


if __name__ == "__main__":
    unittest.main()
