#!/usr/bin/env python3
"""Reads a Coffer repository without Coffer: lists, extracts and checks it.

Written from docs/format.md alone, by somebody who did not look at Coffer's own code; section numbers below are that
document's. It needs Python 3.11 and Debian's python3-cryptography, python3-zstandard and python3-cbor2. It is slow
(BLAKE3 in plain Python: under 1 MB a second), and careful: every name, commitment, tag, padding and chunk id is checked.
  coffer_reader.py list|check REPOSITORY --key-file FILE [--snapshot NAME]
  coffer_reader.py extract REPOSITORY DESTINATION --key-file FILE [--snapshot NAME]
FILE holds the 64 digits. NAME is the beginning of a snapshot's name, or "latest". list prints an entry a line as JSON.
"""
import argparse, base64, collections, contextlib, functools, hashlib, hmac, io, json, os, pathlib, re, struct, sys
import cbor2, zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MIB = 1 << 20
KINDS = {"head": (b"h", MIB // 16), "pack": (b"p", 64 * MIB), "index": (b"i", 32 * MIB), "snap": (b"s", MIB)}  # 3, 10
SEGMENT, FOOTER, TRAILER, INDEX, SNAPSHOT, KEY_CHECK = range(1, 7)  # frame types, section 3.2
FILE, FOLDER, LINK = 0, 1, 2
class Damaged(Exception):
    """What is stored is not what docs/format.md allows."""
def need(condition, reason):
    if not condition:
        raise Damaged(reason)
@contextlib.contextmanager
def noting(damage, what):
    """Damage to one thing is remembered, and the others go on."""
    try:
        yield
    except (Damaged, OSError) as e:
        damage.setdefault(what, str(e))

# ---- cryptography (sections 1 and 2)
def hkdf(secret, salt, info, n):
    prk, blocks = hmac.digest(salt or bytes(32), secret, "sha256"), [b""]
    while len(blocks) * 32 < n + 32:
        blocks.append(hmac.digest(prk, blocks[-1] + info + bytes([len(blocks)]), "sha256"))
    return b"".join(blocks)[:n]
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
QUARTERS = [tuple(4 * row + (i + row * slant) % 4 for row in range(4)) for slant in (0, 1) for i in range(4)]
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED = 1, 2, 4, 8, 16
def compress(cv, block, counter, length, flags):
    """BLAKE3's compression function; gives the 8 words that are a chaining value or, with ROOT, the hash."""
    m, mask = struct.unpack("<16I", block), 0xFFFFFFFF
    v = [*cv, *IV[:4], counter & mask, counter >> 32, length, flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(QUARTERS):
            x, y, z, w = v[a], v[b], v[c], v[d]
            for word, r, q in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                x = x + y + word & mask
                w = ((w ^ x) >> r | (w ^ x) << 32 - r) & mask
                z = z + w & mask
                y = ((y ^ z) >> q | (y ^ z) << 32 - q) & mask
            v[a], v[b], v[c], v[d] = x, y, z, w
        m = tuple(m[p] for p in PERMUTATION)
    return [v[i] ^ v[i + 8] for i in range(8)]

def blake3_keyed(key, data):
    def node(start, end, root):  # the subtree over the 1,024-byte pieces start to end - 1
        if end - start > 1:
            left = 1 << (end - start - 1).bit_length() - 1
            children = node(start, start + left, 0) + node(start + left, end, 0)
            return compress(words, struct.pack("<16I", *children), 0, 64, PARENT | KEYED | root)
        cv, piece = words, data[start * 1024:start * 1024 + 1024]
        last = max(0, (len(piece) - 1) // 64)
        for i in range(last + 1):
            block, flags = piece[i * 64:i * 64 + 64], KEYED | CHUNK_START * (i == 0) | (CHUNK_END | root) * (i == last)
            cv = compress(cv, block.ljust(64, b"\0"), start, len(block), flags)
        return cv
    words = struct.unpack("<8I", key)
    return struct.pack("<8I", *node(0, max(1, -(-len(data) // 1024)), ROOT))

# ---- strict parsing (sections 1, 3.3, 5)
class Bytes(io.BytesIO):
    """Takes a byte string apart; never beyond its end."""
    def take(self, n):
        need(len(data := self.read(n)) == n, "cut short")
        return data
    def uint(self, n): return int.from_bytes(self.take(n), "big")
    def count(self):
        need(n := self.uint(4), "a zero where at least one is needed")
        return n
    def end(self): need(not self.read(1), "bytes behind the end")
def canonical(data):
    """Decodes deterministic CBOR: what does not encode to the same bytes again was not in that form."""
    try:
        value = cbor2.loads(data)
        need(cbor2.dumps(value, canonical=True) == data, "CBOR that is not deterministic")
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError, MemoryError) as e:
        raise Damaged(f"not the CBOR of this format: {type(e).__name__}") from None
    return value
def uint(x): return type(x) is int and 0 <= x < 1 << 64
def text(x): return type(x) is str
def raw(x): return type(x) is bytes
def size(n): return lambda x: raw(x) and len(x) == n
def ids(x): return raw(x) and len(x) % 32 == 0
def depth(x): return uint(x) and x <= 4
def array(check): return lambda x: type(x) is list and all(map(check, x))
def row(*checks): return lambda x: type(x) is list and len(x) == len(checks) and all(c(v) for c, v in zip(checks, x))
def time(x): return row(lambda s: type(s) is int and abs(s) < 1 << 63, lambda ns: uint(ns) and ns < 10**9)(x)
def ascending(values): return all(a < b for a, b in zip(values, values[1:]))
def record(value, required, optional):
    """Checks a CBOR map against its table; an unknown key, or an optional one with a zero value, is refused."""
    need(type(value) is dict and all(type(key) is int for key in value), "not a map with integer keys")
    for key, check in required.items():
        need(key in value and check(value[key]), f"key {key} is missing or wrong")
    for key in value.keys() - required.keys():
        need(key in optional, f"key {key} is unknown")
        need(optional[key](value[key]) and value[key] not in (0, "", b"", [], [0, 0]), f"key {key} is wrong or zero")
    return value
def padme(length):
    e = length.bit_length() - 1
    z = e - e.bit_length()  # floor(log2 e) + 1 is the bit length of e
    return -(-length >> z) << z
def unpad(padded, object_size):
    payload = padded.rstrip(b"\0")
    need(payload[-1:] == b"\x80", "no end of the payload before the padding")
    need(padme(object_size - len(padded) + len(payload)) == object_size, "the padding is not Padmé")
    return payload[:-1]
def pack_table(b):
    """Section 5.2: [(offset, sealed length, raw length, method, [(chunk id, length)])] of one pack."""
    segments, offset = [], 96
    for _ in range(b.count()):
        sealed, plain, method = b.uint(4), b.uint(4), b.uint(1)
        chunks = [(b.take(32), b.count()) for _ in range(b.count())]
        need(method < 2 and plain <= 8 * MIB and max(n for _, n in chunks) <= 4 * MIB, "unknown method, or too large")
        need(sum(n for _, n in chunks) == plain, "chunks that do not fill their segment")
        need(16 < sealed < plain + 16 if method else sealed == plain + 16, "the sealed length does not fit")
        segments.append((offset, sealed, plain, method, chunks))
        offset += sealed
    return segments
def decompress(frame, plain):
    """Exactly one Zstandard frame of exactly plain bytes. It was authenticated: it need not be feared, only checked."""
    try:
        decoder = zstandard.ZstdDecompressor(max_window_size=8 * MIB).decompressobj()
        out = decoder.decompress(frame)
    except zstandard.ZstdError as e:
        raise Damaged(f"Zstandard: {e}") from None
    need(decoder.eof and not decoder.unused_data and len(out) == plain, "not exactly one Zstandard frame of the right length")
    return out

# ---- objects (section 3)
class Object:
    """One stored object, its name, header and commitment checked; open() opens its frames."""
    def __init__(self, repo, name, data):
        kind, _, digest = name.partition("-")
        byte, limit = KINDS[kind]
        need(96 < len(data) <= limit, "too short or too large")
        need(hashlib.sha256(data).hexdigest()[:40] == digest, "the name is not that of these bytes: changed, cut or renamed")
        need(data[:6] == b"COFFER", "not an object of Coffer")
        need(data[6] == 1, f"made by a newer Coffer (format {data[6]}); this program reads format 1")
        need(data[7:9] == b"\x01" + byte and data[9:16] == bytes(7), "suite, kind or reserved bytes are wrong")
        self.data, self.ours = data, data[16:32] == repo.id  # another's may lie in the same folder
        if self.ours:
            key = hkdf(repo.head_key if kind == "head" else repo.data_key, data[32:64], b"coffer/1/object" + byte, 64)
            need(hmac.compare_digest(key[32:], data[64:96]), "the key commitment is wrong")
            self.aead = AESGCM(key[:32])
    def open(self, frame, number, sealed, extra=b""):
        try:
            return self.aead.decrypt(struct.pack(">IQ", frame, number), sealed, self.data[:96] + extra)
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            raise Damaged(f"frame {number} of type {frame} does not open") from None
    def body(self, frame): return unpad(self.open(frame, 0, self.data[96:]), len(self.data))
    def footer(self):
        """Section 5.4: a pack's table, found from its end."""
        length, count = struct.unpack(">II", self.open(TRAILER, 0, self.data[-24:]))
        b = Bytes(unpad(self.open(FOOTER, 0, self.data[-24 - length:-24]), len(self.data)))
        table = pack_table(b)
        b.end()
        need(count == len(table) and 96 + sum(s[1] for s in table) + length + 24 == len(self.data), "the parts do not add up to the pack")
        return table
    def segment(self, number, entry):
        offset, sealed, plain, method, _ = entry
        frame = self.open(SEGMENT, number, self.data[offset:offset + sealed], struct.pack(">IB", plain, method))
        return decompress(frame, plain) if method else frame

def read_head(o):
    """Section 9: the public part, and the check that only the holder of the root key can make."""
    end = 100 + int.from_bytes(o.data[96:100], "big")
    o.open(KEY_CHECK, 0, o.data[end:], o.data[96:end])
    vault = {1: text, 2: size(16), 3: size(33), 4: text, 5: size(16), 7: size(32), 13: size(32)} | {k: uint for k in (6, 8, 9, 10, 11, 12)}
    passphrase = {1: uint, 2: uint, 3: uint, 4: size(32), 5: size(112), 6: uint}
    return record(canonical(o.data[100:end]), {1: lambda n: uint(n) and n > 0, 2: uint, 3: text, 4: text},
                  {5: lambda x: record(x, vault, {14: lambda g: size(33)(g) and any(g), 15: lambda a: text(a) and a != ""}), 6: lambda x: record(x, passphrase, {})})
def read_snapshot(o):
    """Section 8."""
    required = {1: time, 2: time, 3: size(16), 4: text, 5: text, 6: text, 7: array(raw), 17: text}
    s = record(canonical(o.body(SNAPSHOT)), required | {k: uint for k in (10, 11, 12, 13, 14)},
               {8: ids, 9: depth, 15: size(20), 16: array(row(size(16), uint, size(20))), 18: array(text)})
    need(ascending(s[7]) and ascending([other[0] for other in s.get(16, [])]), "sources or devices are not ascending")
    need(s[14] > 0 and (s[14] == 1) == (15 not in s), "sequence and previous snapshot do not fit")
    return s
def read_entry(e):
    """Section 7.3."""
    kind, extents = e.get(2) if type(e) is dict else None, array(row(uint, lambda n: uint(n) and n > 0))
    required = {1: raw, 2: uint, 3: uint, 4: time, 7: uint, 8: uint} | {FILE: {11: uint}, LINK: {15: raw}}.get(kind, {})
    optional = {5: time, 6: uint, 9: raw, 10: raw, 17: array(row(raw, raw)), 21: uint, 22: uint, 23: time}
    optional |= {12: ids, 13: depth, 18: uint, 19: text} if kind in (FILE, FOLDER) else {}
    record(e, required, optional | ({14: extents, 16: uint, 20: extents} if kind == FILE else {}))
    name, holes, bad, state, attributes = e[1], e.get(14, []), e.get(20, []), e.get(18, 0), e.get(17, [])
    need(kind in (FILE, FOLDER, LINK) and e[3] <= 0o7777, "unknown type or permission bits")
    need(0 < len(name) <= 4096 and name not in (b".", b"..") and not set(name) & {0, 47}, "a name that no entry may have")
    need(len(e.get(15, b"")) <= 65536 and sum(len(n) + len(v) for n, v in attributes) <= MIB, "link target or attributes too large")
    need(ascending([n for n, _ in attributes]) and (13 not in e or 12 in e), "attributes not ascending, or a depth without a list")
    need(len(holes) <= 1024 and all(a + n < b for (a, n), (b, _) in zip(holes, holes[1:])), "holes are not ascending and apart")
    need(not holes or sum(holes[-1]) <= e[11], "a hole beyond the end")
    need(state <= 3 and (19 in e) == (state >= 2) and (20 in e) == (state == 2 and kind == FILE) and (state != 3 or 12 not in e), "state does not fit")
    need(all(any(h <= a and a + n <= h + m for h, m in holes) for a, n in bad), "an unreadable range that is no hole")
    return e

# ---- the repository (sections 6 to 8)
class Repository:
    def __init__(self, folder, root_key):
        self.folder = pathlib.Path(folder)
        self.data_key, self.head_key, self.chunk_key, self.id = (
            hkdf(root_key, b"", b"coffer/1/" + label, n) for label, n in ((b"data", 32), (b"head", 32), (b"chunk-id", 32), (b"repository", 16)))
        self.damaged, self.tables, self.sizes, self.where = {}, {}, {}, {}  # where: chunk id -> [(pack, segment, offset, length)]
        self.snapshots, self.heads, self.good, self.others = {}, {}, set(), 0
        names = sorted(n for n in os.listdir(folder) if re.fullmatch("(head|pack|index|snap)-[0-9a-f]{40}", n))
        self.packs = [n for n in names if n.startswith("pack-")]
        for name in [n for n in names if n not in self.packs] + self.packs:
            if name not in self.tables:  # a pack that no index names is read by its own footer
                with noting(self.damaged, name):
                    self.load(name)
        if not (self.snapshots or self.tables or self.heads or self.damaged):
            sys.exit("this key is of another repository" if self.others else "there is no Coffer repository here")
    def read(self, name):
        need((self.folder / name).is_file(), "missing")
        with (self.folder / name).open("rb") as f:
            return Object(self, name, f.read(KINDS[name.partition("-")[0]][1] + 1))
    def load(self, name):
        o = self.read(name)
        if not o.ours:
            self.others += 1
        elif name.startswith("head-"):
            self.heads[name] = read_head(o)
        elif name.startswith("snap-"):
            self.snapshots[name] = read_snapshot(o)
        elif name.startswith("pack-"):
            self.know({name: (len(o.data), o.footer())})
        else:
            b = Bytes(o.body(INDEX))
            packs = [("pack-" + b.take(20).hex(), (b.uint(8), pack_table(b))) for _ in range(b.count())]
            b.end()
            need(ascending([name for name, _ in packs]), "packs of an index are not ascending")
            self.know(dict(packs))
    def know(self, packs):
        for name, (stored, table) in packs.items():
            need(self.tables.setdefault(name, table) == table and self.sizes.setdefault(name, stored) == stored, f"indexes disagree about {name}")
            for number, (_, _, _, _, chunks) in enumerate(table):
                at = 0
                for chunk, length in chunks:
                    self.where.setdefault(chunk, []).append((name, number, at, length))
                    at += length
    @functools.lru_cache(8)
    def segment(self, name, number):
        o = self.read(name)
        need(len(o.data) == self.sizes[name], "another size than the index says")
        return o.segment(number, self.tables[name][number])
    def chunk(self, chunk):
        """The bytes of a chunk, from any pack that has it whole."""
        for name, number, at, length in self.where.get(chunk, ()):
            with noting(self.damaged, name):
                data = self.segment(name, number)[at:at + length]
                need(chunk in self.good or blake3_keyed(self.chunk_key, data) == chunk, "a chunk has another id")
                self.good.add(chunk)  # checked once: what is read again for this id comes from a sealed segment too
                return data
        raise Damaged(f"chunk {chunk.hex()[:16]} is in no pack" + " that is whole" * (chunk in self.where))
    def content(self, joined, level):
        """Section 7.1: the ids of a content list, in order."""
        for chunk in (joined[i:i + 32] for i in range(0, len(joined), 32)):
            if level > 0:
                need(len(inner := self.chunk(chunk)) % 32 == 0, "a list of chunks of an odd length")
            yield from self.content(inner, level - 1) if level > 0 else [chunk]
    def entries(self, joined, level):
        """Section 7.2: the entries of a folder, ascending by name."""
        before = b""
        for page in self.content(joined, level):
            entries = canonical(self.chunk(page))
            need(type(entries) is list and entries, "a page that is no list, or empty")
            for entry in map(read_entry, entries):
                need(entry[1] > before, "names of a folder are not ascending")
                before = entry[1]
                yield entry
    def walk(self, snapshot, bad):
        """Yields (path, entry), folders before what is in them; notes folders that do not open in bad."""
        stack = [(b"", self.entries(snapshot.get(8, b""), snapshot.get(9, 0)))]
        while stack:
            (path, entries), entry = stack[-1], None
            with noting(bad, path):
                need(len(stack) <= 4096, "folders are too deep")
                entry = next(entries, None)
            if not entry:
                stack.pop()
                continue
            yield path + b"/" + entry[1], entry
            if entry[2] == FOLDER:
                stack.append((path + b"/" + entry[1], self.entries(entry.get(12, b""), entry.get(13, 0))))
    def pieces(self, entry):
        """Yields (offset, bytes) of a file's data, around its holes (section 7.3)."""
        holes, at = collections.deque(entry.get(14, ())), 0
        for chunk in self.content(entry.get(12, b""), entry.get(13, 0)):
            data = self.chunk(chunk)
            while data:
                while holes and holes[0][0] == at:
                    at += holes.popleft()[1]
                n = min(len(data), holes[0][0] - at) if holes else len(data)
                yield at, data[:n]
                data, at = data[n:], at + n
        end = at + sum(n for _, n in holes)
        need(entry.get(18) == 3 or end == entry[11] and len(holes) <= 1, "chunks and holes do not add up to the file's size")
    def check_pack(self, name):
        """Every byte of a pack, whether a file needs it or not."""
        o = self.read(name)
        if o.ours:
            need((table := o.footer()) == self.tables.get(name) and len(o.data) == self.sizes[name], "the index tells another story than the pack")
            for number, entry in enumerate(table):
                data = Bytes(o.segment(number, entry))
                for chunk, length in entry[4]:
                    need(blake3_keyed(self.chunk_key, data.take(length)) == chunk, f"a chunk of segment {number} has another id")
                    self.good.add(chunk)
    def choose(self, wanted):
        found = [n for n in self.snapshots if wanted == "latest" or n.startswith(("snap-" + wanted, wanted))]
        if not found or wanted != "latest" and len(found) > 1:
            sys.exit(f"{len(found)} snapshots are called {wanted}")
        return self.snapshots[max(found, key=lambda n: (self.snapshots[n][2], n))]

# ---- commands
def list_entries(repo, args, bad):
    for path, e in repo.walk(repo.choose(args.snapshot), bad):
        out = {"path": path.decode("utf-8", "replace"), "type": ("file", "dir", "symlink")[e[2]], "mode": e[3], "mtime": e[4]}
        out |= {"size": e[11]} if e[2] == FILE else {"link": e[15].decode("utf-8", "replace")} if e[2] == LINK else {}
        print(json.dumps(out | ({"path_base64": base64.b64encode(path).decode()} if out["path"].encode() != path else {})))

def extract(repo, args, bad):
    linked, done, dest = {}, [], os.fsencode(args.destination)
    os.makedirs(dest, mode=0o700, exist_ok=True)
    if os.listdir(dest):
        sys.exit("the destination is not empty: nothing is written over what is there")
    for path, e in repo.walk(repo.choose(args.snapshot), bad):
        out, twin = dest + path, (e.get(16), e.get(6))
        with noting(bad, path):
            if e[2] == FOLDER:
                os.mkdir(out, 0o700)
            elif e[2] == LINK:
                os.symlink(e[15], out)
            elif 16 in e and twin in linked:
                os.link(linked[twin], out)
            else:
                with open(out, "xb") as f:
                    for at, data in repo.pieces(e):
                        f.seek(at)
                        f.write(data)
                    f.truncate(e[11] if e.get(18) != 3 else 0)
                linked[twin] = out
            done.append((path, out, e))
    for path, out, e in reversed(done):  # last, inner ones first: writing into a folder changes its time
        with noting(bad, path):
            if os.geteuid() == 0:
                os.lchown(out, e[7], e[8])
            for name, value in e.get(17, []):
                os.setxattr(out, name, value, follow_symlinks=False)
            if e[2] != LINK:
                os.chmod(out, e[3])  # after lchown, which clears set-user-ID
            os.utime(out, ns=(e[4][0] * 10**9 + e[4][1],) * 2, follow_symlinks=False)

def check(repo, _, bad):
    for name in sorted(repo.tables.keys() | repo.packs):
        with noting(repo.damaged, name):
            repo.check_pack(name)
    for snapshot in repo.snapshots.values():
        for path, e in repo.walk(snapshot, bad):
            with noting(bad, path):
                collections.deque(repo.pieces(e) if e[2] == FILE else (), maxlen=0)
    print(f"{len(repo.heads)} heads, {len(repo.tables)} packs, {len(repo.where)} chunks, {len(repo.snapshots)} snapshots")

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {"list": list_entries, "extract": extract, "check": check}
    for name, how in {"command": {"choices": commands}, "repository": {}, "destination": {"nargs": "?"},
                      "--key-file": {"required": True}, "--snapshot": {"default": "latest"}}.items():
        p.add_argument(name, **how)
    args = p.parse_args()
    if (args.command == "extract") != bool(args.destination):
        p.error("extract, and only extract, takes a destination")
    if not re.fullmatch("[0-9a-fA-F]{64}", digits := "".join(pathlib.Path(args.key_file).read_text("ascii").split())):
        sys.exit("the key file does not hold 64 digits from 0-9 and a-f")
    repo, bad = Repository(args.repository, bytes.fromhex(digits)), {}
    commands[args.command](repo, args, bad)
    for name, reason in sorted(repo.damaged.items()):
        print(f"damaged: {name}: {reason}", file=sys.stderr)
    for path, reason in bad.items():
        print(f"not whole: {path!r}: {reason}", file=sys.stderr)
    return 1 if repo.damaged or bad else 0

if __name__ == "__main__":
    sys.exit(main())
