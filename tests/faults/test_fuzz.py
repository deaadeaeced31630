"""Ten thousand damaged and hostile files go through the validator: none raises, none takes long, none fills the memory.

Files are changed with knowledge of their structure (rows, cells, JSON values, gzip members, parquet pages and footers,
safetensors headers) and without (bits, cuts, copies). The seed is fixed; a failure names the number of its file.
"""

import gzip
import io
import json
import random
import resource
import subprocess
import sys
import time
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unified_audiocaps.evaluators.tasks.groups import Group
from unified_audiocaps.leaderboard.benchmark import Benchmark, BenchmarkItems
from unified_audiocaps.leaderboard.intake.validation import validate

NAMES = ("rain", "dog", "bell", "train", "wind", "crowd", "piano", "siren", "door", "birds", "stream", "engine")
REFERENCES = {f"tiny/test/{name}": (f"a {name} is heard", f"the sound of {name}") for name in NAMES}
CAPTIONS = {id_: f"somebody hears {name}, “then” a pause" for id_, name in zip(REFERENCES, NAMES, strict=True)}
SUBTASKS = ("long", "short", "speech")
MAX_SECONDS, MAX_GROWTH_BYTES = 2.0, 300 * 2**20
# files per format; ten thousand together
COUNTS = {"jsonl": 3_000, "csv": 2_500, "gzip": 1_500, "parquet": 2_000, "parquet of embeddings": 500, "safetensors": 500}


def items(**changes):
    common = {"title": "Tiny", "description": "", "config": "", "split": "", "n_items": 12, "items_sha256": "0" * 64}
    benchmark = Benchmark(**{"id": "tiny", "metrics": ("rouge_l",), "primary_metric": "rouge_l", **common, **changes})
    names = SUBTASKS if benchmark.task == "mecat_caption" else ("long",)
    groups = tuple(Group(name, name, 1 / len(names), REFERENCES) for name in names)
    return BenchmarkItems(benchmark, groups, {f"{name}.wav": f"tiny/test/{name}" for name in NAMES})


POOL = items()
GROUPS = items(task="mecat_caption")
RETRIEVAL = items(task="retrieval", metrics=("r_1",), primary_metric="r_1")

ODD_VALUES = (
    "null", "true", "-0", "1e999", "-1e999", "NaN", "Infinity", "9" * 5_000, "9" * 4_000, "0." + "3" * 5_000, "[]", "{}", '""',
    '" "', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u2028"', '"\\ufeff"', '"\\u202e"', "[" * 60 + "]" * 60, "[" * 3_000,
    '{"a":' * 2_000, '{"id": {"id": {"id": 1}}}', '["a", "b"]', '"' + "x" * 4_001 + '"', '"=cmd()"', '"../../etc/passwd"', "0x10",
    '"<script>"', "'x'", '{"uac": {"a": 1}}',
)  # fmt: skip
ODD_BYTES = (
    b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\r", b"\n",
    b"\r\n", b"\x0b", b"\x1a", b"\x85", "\u2028".encode(), "\u2029".encode(), b'"', b'""', b"'", b"\\", b",", b";", b"\t", b"{",
    b"}", b"[", b"]", b":", b"\x1b[2J", b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"=1+1", b'\n"', b'","', "\U0001f600".encode(),
    b"\n" * 400, b'"' * 300,
)  # fmt: skip


# -- sound files -----------------------------------------------------------------------------------------------------------------


def rows(rng):
    found = [{"id": rng.choice([id_, f"{id_[10:]}.wav"]), "caption": text} for id_, text in CAPTIONS.items()]
    if rng.random() < 0.5:
        found = [{**row, "subtask": name} for name in SUBTASKS for row in found]
    return found


def jsonl(rng, changed=False):
    head = [{"uac": {"commit": "0a1b", "prompt": "Describe it.", "beams": 4}}] * (rng.random() < 0.3)
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in (*head, *rows(rng))]
    if changed:
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(lines))
            lines[place] = change_json(rng, lines[place])
        lines = change_rows(rng, lines)
    return rng.choice(["\n", "\n", "\r\n", "\n\n"]).join(lines).encode("utf-8", "surrogatepass")


def table(rng, changed=False):
    found = rows(rng)
    names = [*found[0]]
    rng.shuffle(names)
    cells = [[row[name] for name in names] for row in found]
    if rng.random() < 0.7 or len(names) > 2:
        cells.insert(0, names)
    lines = [",".join('"' + cell.replace('"', '""') + '"' if rng.random() < 0.8 else cell for cell in line) for line in cells]
    return rng.choice(["\n", "\r\n"]).join(change_rows(rng, lines) if changed else lines).encode()


def parquet(rng):
    found = rows(rng)
    columns = {name: pa.array([row[name] for row in found], rng.choice([pa.string(), pa.large_string()])) for name in found[0]}
    if rng.random() < 0.2:
        columns[rng.choice(["id", "caption", "subtask"])] = pa.array(
            rng.choice([[1], [b"x"], [["x"]], [None], [{"a": 1}]]) * len(found)
        )
    return written(rng, pa.table(columns).replace_schema_metadata({"uac": '{"commit": "0a1b"}'} if rng.random() < 0.3 else None))


def embeddings_parquet(rng):
    numbers = [[rng.random() + 0.1 for _ in range(4)] for _ in range(3)]
    audio, text = [numbers[0]] * 12, [numbers[1:]] * 12
    return written(rng, pa.table({"id": [*REFERENCES], "audio": audio, "text": text}))


def written(rng, columns):
    stream = io.BytesIO()
    pq.write_table(
        columns,
        stream,
        compression=rng.choice(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(["1.0", "2.0"]),
        row_group_size=rng.choice([3, 5, 100]),
        write_statistics=rng.random() < 0.5,
        write_page_checksum=rng.random() < 0.3,
        write_page_index=rng.random() < 0.2,
        store_schema=rng.random() < 0.5,
        data_page_size=rng.choice([16, 2**20]),
    )
    return stream.getvalue()


def safetensors(rng, changed=False):
    header = {"__metadata__": {"ids": json.dumps([*REFERENCES]), "uac": '{"commit": "0a1b"}'}}
    dtype, size = rng.choice([("F32", 4), ("F16", 2), ("F64", 8), ("BF16", 2)])
    shapes = {"audio": [12, 4], "text": [24, 4]} if rng.random() < 0.5 else {"scores": [24, 12]}
    begin = 0
    for name, shape in shapes.items():
        end = begin + shape[0] * shape[1] * size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    raw = json.dumps(header)
    if changed:
        raw = change_json(rng, raw)
    encoded = raw.encode("utf-8", "surrogatepass")
    length = rng.choice([len(encoded)] * 8 + [0, 1, len(encoded) + 1, 2**31, 2**63, 2**64 - 1])
    return length.to_bytes(8, "little") + encoded + rng.randbytes(begin)


# -- what is done to them --------------------------------------------------------------------------------------------------------


def change_json(rng, line):
    """Puts an odd value in the place of one that is there, or a key twice, or a text where none belongs."""
    places = [place for place, letter in enumerate(line) if letter in ':,[{"']
    if not places:
        return rng.choice(ODD_VALUES)
    place = rng.choice(places) + 1
    kind = rng.random()
    if kind < 0.5:
        end = min((line.find(letter, place) for letter in ",}]" if line.find(letter, place) > 0), default=len(line))
        return line[:place] + rng.choice(ODD_VALUES) + line[end:]
    if kind < 0.7:
        return line.replace(
            '"caption"', rng.choice(['"id"', '"captions"', '"caption", "caption"', '"subtask"', '"Caption"', "caption"]), 1
        )
    if kind < 0.8:
        return rng.choice(ODD_VALUES)
    return line[:place] + line[place:][: rng.randrange(1, 20)] + line[place:]


def change_rows(rng, lines):
    lines = list(lines)
    for _ in range(rng.randint(0, 2)):
        place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines.insert(other, lines[place])
        elif kind == 2:
            lines[place], lines[other] = lines[other], lines[place]
        elif kind == 3:
            lines[place] += lines[other]
        elif kind == 4:
            lines.extend([lines[place]] * rng.choice([1, 100, 300]))
        else:
            lines.insert(place, "")
        lines = lines or [""]
    return lines


def change_bytes(rng, content, most=4):
    """Flips bits, cuts, copies, inserts."""
    content = bytearray(content)
    for _ in range(rng.randint(1, most)):
        size = len(content)
        place = rng.randrange(size + 1)
        kind = rng.randrange(7)
        if kind <= 1 and size:
            content[place % size] ^= 1 << rng.randrange(8)
        elif kind == 2 and size:
            content[place % size] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 3:
            content[place:place] = rng.choice(ODD_BYTES)
        elif kind == 4:
            end = min(size, place + rng.choice([1, 4, 64, size]))
            content[place:place] = content[place:end]
        elif kind == 5:
            del content[place : place + rng.choice([1, 2, 16, 200])]
        elif rng.random() < 0.3:
            del content[place:]
    return bytes(content)


def change_gzip(rng, content):
    """Changes what is packed, the packing, or what stands around it."""
    packed = gzip.compress(content, rng.randint(0, 9))
    kind = rng.randrange(9)
    if kind == 0:
        packed += rng.choice(
            [b"\0" * 9, b"garbage", packed[: rng.randrange(len(packed))], packed, gzip.compress(b""), b"\x1f\x8b"]
        )
    elif kind == 1:
        packed = gzip.compress(packed)
    elif kind == 2:
        packed = gzip.compress(b"") * rng.randint(1, 40) + packed
    elif kind == 3:
        flags = rng.choice([1, 2, 4, 8, 16, 0xE0, 0xFF])
        packed = packed[:3] + bytes([flags]) + packed[4:]
    elif kind == 4:
        packed = packed[:-8] + rng.randbytes(8)
    elif kind == 5:
        half = len(content) // 2
        packed = gzip.compress(content[:half]) + gzip.compress(content[half:])
    elif kind == 6:
        packed = gzip.compress(content + rng.choice([b"\n", b"\0", b" ", b"["]) * rng.choice([10, 10**5, 2 * 10**6]), 6)
    elif kind == 7:
        packed = rng.choice([zlib.compress(content), content, packed[rng.randrange(20) :], packed[: rng.randrange(len(packed))]])
    else:
        packed = change_bytes(rng, packed)
    return packed


def change_parquet(rng, content):
    """Changes the footer (the numbers of Thrift among them), the pages, or their lengths."""
    size = int.from_bytes(content[-8:-4], "little")
    pages, footer = bytearray(content[: -8 - size]), bytearray(content[-8 - size : -8])
    kind = rng.randrange(8)
    if kind == 0:
        return change_bytes(rng, content)
    if kind <= 2:
        footer = bytearray(change_bytes(rng, bytes(footer), 2))
    elif kind == 3:
        # a number that is as long as Thrift allows, negative, or far too large
        place = rng.randrange(len(footer))
        footer[place : place + 1] = rng.choice(
            [b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x01"]
        )
    elif kind <= 5:
        pages = bytearray(change_bytes(rng, bytes(pages), 2))
    elif kind == 6:
        # page headers begin with the type and the two sizes
        place = rng.randrange(4, len(pages))
        pages[place : place + 1] = rng.choice(
            [b"\x15\xfe\xff\xff\xff\x0f", b"\x15\x00\x15\x80\x80\x80\x02", b"\xff\xff\xff\xff\x07"]
        )
    else:
        size = rng.choice([0, 1, size - 1, size + 1, 2**31 - 1, 2**32 - 1])
        return bytes(pages + footer) + size.to_bytes(4, "little") + b"PAR1"
    return bytes(pages + footer) + len(footer).to_bytes(4, "little") + b"PAR1"


def hostile(rng, kind):
    """Returns a file's ending, its content, and the items that it is for."""
    pool = rng.choice([POOL, GROUPS])
    if kind == "jsonl":
        content = jsonl(rng, changed=rng.random() < 0.7)
        return ".jsonl", change_bytes(rng, content) if rng.random() < 0.6 else content, pool
    if kind == "csv":
        content = table(rng, changed=rng.random() < 0.7)
        return ".csv", change_bytes(rng, content, 6) if rng.random() < 0.8 else content, pool
    if kind == "gzip":
        ending, make = rng.choice([(".jsonl.gz", jsonl), (".csv.gz", table)])
        return ending, change_gzip(rng, make(rng, changed=rng.random() < 0.3)), pool
    if kind == "parquet":
        return ".parquet", change_parquet(rng, parquet(rng)), pool
    if kind == "parquet of embeddings":
        return ".parquet", change_parquet(rng, embeddings_parquet(rng)), RETRIEVAL
    content = safetensors(rng, changed=rng.random() < 0.7)
    return ".safetensors", change_bytes(rng, content) if rng.random() < 0.6 else content, RETRIEVAL


def resident_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("kind", COUNTS)
def test_no_damaged_file_raises_or_takes_long(kind, tmp_path):
    n_valid = 0
    codes = set()
    before = resident_bytes()
    for number in range(COUNTS[kind]):
        ending, content, taken = hostile(random.Random(f"{kind} {number}"), kind)
        path = tmp_path / f"hostile{ending}"
        path.write_bytes(content)
        began = time.process_time()
        try:
            report = validate(path, taken)
        except Exception as error:
            raise AssertionError(f"{kind} {number} raises {type(error).__name__}: {error}") from error
        assert time.process_time() - began < MAX_SECONDS, f"{kind} {number} takes long"
        assert report.is_valid == (not report.problems) and len(report.problems) <= 200, f"{kind} {number}"
        json.dumps(report.to_json(), allow_nan=False, ensure_ascii=False).encode()
        report.to_csv().encode()
        n_valid += report.is_valid
        codes |= {problem.code for problem in report.problems}
        if report.is_valid and taken is POOL:
            assert set(report.predictions["long"]) == set(REFERENCES), f"{kind} {number} is called complete"
    assert resident_bytes() - before < MAX_GROWTH_BYTES
    # the changes reach deep, and not all of them destroy
    assert n_valid > 0 and len(codes) >= 4, (n_valid, codes)


BOMBS = {
    "gzip of 1 GiB of zeros": (
        ".jsonl.gz",
        "engine = zlib.compressobj(9, wbits=31)\n"
        "content = b''.join([*(engine.compress(b'\\0' * 2**20) for _ in range(1024)), engine.flush()])",
        "unpacks to more than 50 times",
    ),
    "parquet of 100 million equal rows": (
        ".parquet",
        "stream = io.BytesIO()\n"
        "names = pa.DictionaryArray.from_arrays(pa.array([0] * 10**6, pa.int8()), pa.array(['x']))\n"
        "schema = pa.schema([('id', names.type), ('caption', names.type)])\n"
        "with pq.ParquetWriter(stream, schema) as writer:\n"
        "    for _ in range(100):\n"
        "        writer.write_table(pa.table([names, names], schema))\n"
        "content = stream.getvalue()",
        "100,000,000 rows; at most 60 are taken",
    ),
    "parquet of texts that pack well": (
        ".parquet",
        "stream = io.BytesIO()\n"
        "pq.write_table(pa.table({'id': ['a'], 'caption': ['x' * 2**27]}), stream, compression='zstd', use_dictionary=False)\n"
        "content = stream.getvalue()",
        "unpacks to more than 50 times",
    ),
    "csv with a cell of 60 MiB": (
        ".csv",
        "content = b'id,caption\\nx,\"' + b'y' * (60 * 2**20)",
        "the line is longer than 1,048,576 bytes",
    ),
    "jsonl of one line of 60 MiB": (".jsonl", "content = b'[' * (60 * 2**20)", "the line is longer than 1,048,576 bytes"),
    "60 million blank lines": (".jsonl", "content = b'\\n' * (60 * 2**20)", "more than 1,600 lines"),
}
BUILD = "import io, sys, zlib\nimport pyarrow as pa, pyarrow.parquet as pq\n{}\nopen(sys.argv[1], 'wb').write(content)\n"
MEASURE = """
import resource, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.faults.test_fuzz import POOL, resident_bytes
from unified_audiocaps.leaderboard.intake.validation import validate
before, began = resident_bytes(), time.process_time()
report = validate(Path(sys.argv[1]), POOL)
print(time.process_time() - began, resident_bytes() - before, ' '.join(p.message for p in report.problems))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_little_time_and_memory(name, tmp_path, project_root):
    ending, build, message = BOMBS[name]
    path = tmp_path / f"bomb{ending}"
    subprocess.run([sys.executable, "-c", BUILD.format(build), str(path)], check=True)
    # a process of its own: what the maker of the bomb took is not counted
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(project_root)], check=True, capture_output=True, text=True
    )
    seconds, grown_bytes, said = done.stdout.split(" ", 2)
    assert message in said
    assert float(seconds) < MAX_SECONDS and int(grown_bytes) < 100 * 2**20, (seconds, grown_bytes)
