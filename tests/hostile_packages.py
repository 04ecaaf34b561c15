"""Archives that no box may take, by name: each is a whole, signed package but for the one thing it is named after.

`archives` breaks the file, the signature, or the manifest; `graphs` signs a graph that a box must not run.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from package_maker import SHAPE, mean_model, model_of, npy, plain_manifest, plain_members

from edge import crypto
from edge.packages.writer import manifest_text

BLOCK = 512
LINKS = {"hard link": b"1", "symbolic link": b"2", "character device": b"3", "block device": b"4", "folder": b"5",
         "pipe": b"6", "contiguous file": b"7", "long link": b"K", "long name": b"L", "pax header": b"x",
         "global header": b"g", "sparse file": b"S", "old file": b"\0", "volume": b"V", "dump": b"D",
         "multi volume": b"M"}  # fmt: skip
NAMES = ("../evil", "/etc/cron.d/evil", "selftest/../../evil", "./LICENSE", "..", ".", "C:\\evil", "licence",
         "selftest//zero.npy", "LICENSE/", "LICENSE\n", "LICENSE ", "~/evil", ".hidden", "a/b/c/d/e/f",
         "model.onnx/x")  # fmt: skip
FIELDS = {"mode": (100, b"0000777\0"), "set-user-id": (100, b"0004755\0"), "owner": (108, b"0001750\0"),
          "group": (116, b"0001750\0"), "time": (136, b"14722250000\0"), "user name": (265, b"root"),
          "group name": (297, b"root"), "magic": (257, b"ustar  \0"), "link name": (157, b"/etc/passwd"),
          "prefix": (345, b"../.."), "device": (329, b"0000001\0"), "last bytes": (500, b"hidden")}  # fmt: skip
SIZES = {"no size": b"\0" * 12, "size of spaces": b" " * 12, "zero size": b"00000000000\0",
         "8 GiB size": b"77777777777\0", "binary size": b"\x80" + b"\0" * 10 + b"\x07",
         "negative size": b"\xff" * 12, "decimal size": b"00000000099\0", "signed size": b"-0000000001\0",
         "one byte more": b"00000000014\0"}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One entry of an archive: its header block, then its bytes."""

    name: str
    data: bytes
    header: bytes = b""

    def encoded(self) -> bytes:
        return (self.header or header(self.name, len(self.data))) + self.data + bytes(-len(self.data) % BLOCK)


def header(name: str, size: int) -> bytes:
    """The block that stands before an entry in a good archive."""
    info = tarfile.TarInfo(name[:100])
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def altered(block: bytes, at: int, value: bytes, *, checked: bool = True) -> bytes:
    """A header with other bytes at `at`, its checksum made right again."""
    changed = bytearray(block)
    changed[at : at + len(value)] = value
    if checked:
        changed[148:156] = b" " * 8
        changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


class Maker:
    """Signs with the key at `private`, which the box trusts."""

    def __init__(self, private: Path) -> None:
        self._private = crypto.parse_private(private.read_bytes())

    def good(self, members: dict[str, bytes] | None = None, text: bytes | None = None, **changes: object) -> list[Part]:
        """The parts of a good archive, or of one whose manifest says `changes`, or is `text`."""
        files = plain_members() if members is None else members
        stated = {"limits": {"memory_mib": 256, "seconds": 5.0}, **changes}
        declared = {name: {"sha256": _sha256(data), "size": len(data)} for name, data in sorted(files.items())}
        manifest = text or manifest_text({**plain_manifest(**stated), "members": declared}).encode()
        return [
            Part("model.toml", manifest),
            Part("SIGNATURE", crypto.sign(self._private, manifest)),
            *(Part(name, data) for name, data in sorted(files.items())),
        ]

    def text(self, members: dict[str, bytes] | None = None) -> str:
        """The manifest of a good archive."""
        return self.good(members)[0].data.decode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def whole(parts: list[Part]) -> bytes:
    return b"".join(part.encoded() for part in parts) + bytes(2 * BLOCK)


def archives(maker: Maker) -> Iterator[tuple[str, bytes]]:
    """(name, archive): each must be refused before anything of it is kept."""
    yield from _headers(maker.good())
    yield from _orders(maker.good())
    yield from _files(whole(maker.good()))
    yield from _signatures(maker)
    yield from _manifests(maker)


def _headers(parts: list[Part]) -> Iterator[tuple[str, bytes]]:
    for at in (0, 1, 2, len(parts) - 1):
        part = parts[at]
        block = header(part.name, len(part.data))
        for what, kind in LINKS.items():
            yield f"{part.name} as {what}", whole(_with(parts, at, altered(block, 156, kind)))
        for what, (offset, value) in FIELDS.items():
            yield f"{part.name}: {what}", whole(_with(parts, at, altered(block, offset, value)))
        for what, value in SIZES.items():
            yield f"{part.name}: {what}", whole(_with(parts, at, altered(block, 124, value)))
        yield f"{part.name}: wrong checksum", whole(_with(parts, at, altered(block, 148, b"0000000\0", checked=False)))
    for name in NAMES:
        if name != parts[2].name:
            block = altered(header(parts[2].name, len(parts[2].data)), 0, name.encode().ljust(100, b"\0"))
            yield f"a member called {name!r}", whole(_with(parts, 2, block))


def _with(parts: list[Part], at: int, block: bytes) -> list[Part]:
    return [Part(each.name, each.data, block) if n == at else each for n, each in enumerate(parts)]


def _orders(parts: list[Part]) -> Iterator[tuple[str, bytes]]:
    first, second = parts[2], parts[3]
    yield "members in another order", whole([*parts[:2], second, first, *parts[4:]])
    yield "a member twice", whole([*parts[:3], first, *parts[3:]])
    yield "a member missing", whole([*parts[:2], *parts[3:]])
    yield "a member more", whole([*parts, Part("setup.py", b"print('never run')")])
    yield "a member more, in order", whole([*parts[:2], Part("AAA", b"x"), *parts[2:]])
    yield "contents swapped", whole([*parts[:2], Part(first.name, second.data), Part(second.name, first.data)])
    yield "another content", whole([*parts[:2], Part(first.name, bytes(len(first.data))), *parts[3:]])
    yield "one bit of a member", whole([*parts[:-1], Part(parts[-1].name, _flipped(parts[-1].data))])
    yield "the manifest twice", whole([parts[0], *parts])
    yield "the signature twice", whole([parts[0], parts[1], *parts[1:]])
    yield "the manifest last", whole([*parts[1:], parts[0]])
    yield "no manifest", whole(parts[1:])
    yield "nothing but a manifest", whole(parts[:1])


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _files(blob: bytes) -> Iterator[tuple[str, bytes]]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("../evil", "x")
    yield "an empty file", b""
    yield "a text", b"hello " * 200
    yield "a zip", zipped.getvalue()
    yield "a compressed archive", gzip.compress(blob)
    yield "zeros", bytes(1 << 16)
    yield "noise", np.random.default_rng(7).bytes(1 << 16)
    yield "something behind the end", blob + b"x"
    yield "a zip behind the end", blob + zipped.getvalue()
    yield "an archive behind the end", blob + blob
    yield "something before the beginning", b"x" * BLOCK + blob
    yield "no end", blob[: -2 * BLOCK]
    yield "half an end", blob[:-BLOCK]
    yield "something between the members", blob.replace(b"A licence.\n\0", b"A licence.\nX")
    for count in range(1, 12):
        yield f"cut off after {count} of 12", blob[: len(blob) * count // 12]


def _signatures(maker: Maker) -> Iterator[tuple[str, bytes]]:
    parts = maker.good()
    manifest, own = parts[0].data, parts[1].data
    stranger = crypto.sign(crypto.signing_key_pair()[0], manifest)
    other = maker.good(version="0.9.0")[1].data
    for what, made in {
        "another key's": stranger, "zeros": bytes(64), "ones": b"\xff" * 64, "another version's": other,
        "one bit off": _flipped(own), "turned round": own[32:] + own[:32], "half": own[:32], "empty": b"",
        "a byte more": own + b"x", "as digits": own.hex().encode(),
    }.items():  # fmt: skip
        yield f"signature: {what}", whole([parts[0], Part("SIGNATURE", made), *parts[2:]])
    yield "no signature", whole([parts[0], *parts[2:]])
    yield "another manifest under the signature", whole([Part("model.toml", manifest + b"\n"), *parts[1:]])
    raised = manifest.replace(b"threshold = 0.6", b"threshold = 0.1")
    yield "a lower threshold under the signature", whole([Part("model.toml", raised), *parts[1:]])


def _manifests(maker: Maker) -> Iterator[tuple[str, bytes]]:
    """Signed by a trusted vendor who made a mistake, or lost the key."""
    text = maker.text()
    for what, change in {
        "unknown key": lambda: text.replace("schema = 1", 'schema = 1\nhook = "post-install.sh"'),
        "unknown key below": lambda: text.replace("memory_mib", "command = 1, memory_mib"),
        "another schema": lambda: text.replace("schema = 1", "schema = 2"),
        "no schema": lambda: text.replace("schema = 1\n", ""),
        "no name": lambda: text.replace('name = "brightness"\n', "", 1),
        "name of a path": lambda: text.replace('name = "brightness"', 'name = "../evil"', 1),
        "name in capitals": lambda: text.replace('name = "brightness"', 'name = "Evil"', 1),
        "version of a path": lambda: text.replace('version = "1.0.0"', 'version = "../1"', 1),
        "status of its own": lambda: text.replace('"demonstration"', '"approved"'),
        "threshold that is no number": lambda: text.replace("threshold = 0.6", "threshold = nan"),
        "endless threshold": lambda: text.replace("threshold = 0.6", "threshold = inf"),
        "no end of time": lambda: text.replace("seconds = 5.0", "seconds = inf"),
        "negative memory": lambda: text.replace("memory_mib = 256", "memory_mib = -1"),
        "a backend of its own": lambda: text.replace('["cpu"]', '["shell"]'),
        "another task": lambda: text.replace('"classify"', '"operate"'),
        "not TOML": lambda: "\x00\x01" + text,
        "an open bracket": lambda: text + "\n[",
        "a key twice": lambda: text.replace("schema = 1", "schema = 1\nschema = 1"),
        "half a mebibyte of brackets": lambda: "a = " + "[" * (1 << 19),
        "a text that is too long": lambda: text.replace("Tests of packages.", "x" * 5000),
        "more than a mebibyte": lambda: text + "#" * (1 << 20),
    }.items():
        changed = change()
        assert changed != text, what
        yield f"manifest: {what}", whole(maker.good(text=changed.encode()))
    yield "manifest: not UTF-8", whole(maker.good(text=text.encode() + b"# \xff\xfe"))
    for name in ("../evil", "/etc/evil", "a/../../evil", ".hidden", "EVIL", "a//b", "a/", "evil\n", "model.toml",
                 "x" * 201, "a/b/c/d/e", "..", "run.sh;rm"):  # fmt: skip
        yield f"declared member {name[:20]!r}", whole(maker.good({**plain_members(), name: b"x"}))
    inside = {**plain_members(), "licence": b"x", "licence/more": b"x"}
    yield "a member inside a member", whole(maker.good(inside))
    for missing in ("LICENSE", "MODEL_CARD.md", "model.onnx", "selftest/zero.npy"):
        left = {name: data for name, data in plain_members().items() if name != missing}
        yield f"{missing} not declared", whole(maker.good(left))
    big = manifest_text({"members": {f"m{n}": {"sha256": "0" * 64, "size": 4 << 30} for n in range(9)}})
    yield "36 GiB declared", whole(maker.good(text=(text + big.partition("\n")[2]).encode()))


def graphs(maker: Maker) -> Iterator[tuple[str, bytes]]:
    """(name, archive): signed and whole, with a graph that must not run."""
    for what, make in GRAPHS.items():
        yield f"graph: {what}", whole(maker.good(plain_members(**{"model.onnx": make()})))
    for what, tensor in {
        "of another shape": npy(np.zeros((1, 9, 9, 1), np.float32)),
        "of doubles": npy(np.zeros(SHAPE)),
        "of objects": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128),
        "that is a text": b"no array",
        "of 8 EiB": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1<<60,), }".ljust(128),
    }.items():
        yield f"self-test {what}", whole(maker.good(plain_members(**{"selftest/zero.npy": tensor})))


def _external(location: str) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.dims.append(1024)
    for key, value in (("location", location), ("length", "4096")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model_of([helper.make_node("Identity", ["w"], ["output"])], (tensor,), out_shape=(1024,))


def _loop(trips: int | None) -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["co"]), helper.make_node("Identity", ["x"], ["xo"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1))],
        [helper.make_tensor_value_info("co", TensorProto.BOOL, []),
         helper.make_tensor_value_info("xo", TensorProto.FLOAT, (1, 1))],
    )  # fmt: skip
    constants = [helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
                 helper.make_tensor("start", TensorProto.FLOAT, [1, 1], [0.5])]  # fmt: skip
    if trips is not None:
        constants.append(helper.make_tensor("n", TensorProto.INT64, [], [trips]))
    loop = helper.make_node("Loop", ["" if trips is None else "n", "yes", "start"], ["output"], body=body)
    return model_of([loop], tuple(constants))


def _claims(*dims: int) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, raw_data=b"\0" * 4)
    tensor.dims.extend(dims)
    return model_of([helper.make_node("Identity", ["w"], ["output"])], (tensor,))


def _answering(value: float) -> bytes:
    constant = helper.make_tensor("v", TensorProto.FLOAT, [1, 1], [value])
    return model_of([helper.make_node("Identity", ["v"], ["output"])], (constant,))


def _growing(*sizes: int) -> bytes:
    """A few bytes that ask for a giant: made when the graph runs, or folded when it is loaded."""
    shape = helper.make_tensor("s", TensorProto.INT64, [len(sizes)], list(sizes))
    zero = helper.make_tensor("z", TensorProto.INT64, [2], [0, 1])
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big", "z"], ["output"], keepdims=1),
    ]
    return model_of(nodes, (shape, zero))


def _changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_from_string(mean_model())
    change(model)
    return bytes(model.SerializeToString())


def _function(domain: str) -> bytes:
    made = helper.make_function(
        domain, "Mine", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    return _changed(lambda model: model.functions.append(made))


GRAPHS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a text": lambda: b"hello, this is no graph at all",
    "cut off": lambda: mean_model()[:40],
    "a pickle": lambda: b"\x80\x04\x95cposix\nsystem\n(S'id'\ntR.",
    "weights in /etc": lambda: _external("/etc/passwd"),
    "weights above": lambda: _external("../../secret"),
    "weights round a corner": lambda: _external("x/../../secret"),
    "weights in a member": lambda: _external("LICENSE"),
    "weights in the journal": lambda: _external("../../journal.db"),
    "endless loop": lambda: _loop(None),
    "loop of 2^40": lambda: _loop(1 << 40),
    "negative loop": lambda: _loop(-1),
    "custom operator": lambda: model_of(
        [helper.make_node("Evil", ["input"], ["output"], domain="com.evil")], domains=("com.evil",)
    ),
    "vendor's operator": lambda: model_of(
        [helper.make_node("Gelu", ["input"], ["output"], domain="com.microsoft")], domains=("com.microsoft",)
    ),
    "operator that there is not": lambda: model_of([helper.make_node("NoSuchThing", ["input"], ["output"])]),
    "function of its own": lambda: _function(""),
    "function of a domain": lambda: _function("com.evil"),
    "8 GiB of constants": lambda: _claims(1 << 31),
    "4 TiB of constants": lambda: _claims(1 << 20, 1 << 20),
    "negative constants": lambda: _claims(-4),
    "constants that overflow": lambda: _claims(1 << 62, 1 << 62),
    "8 GiB when it runs": lambda: _growing(1 << 15, 1 << 16),
    "16 GiB when it runs": lambda: _growing(1 << 16, 1 << 16),
    "no number": lambda: _answering(float("nan")),
    "infinite": lambda: _answering(float("inf")),
    "another answer": lambda: _answering(0.25),
    "another shape": lambda: model_of(
        [helper.make_node("ReduceMean", ["input"], ["output"], axes=[1, 2], keepdims=0)], out_shape=(1, 1)
    ),
    "an open shape": lambda: _changed(
        lambda model: (
            model.graph.output[0].type.tensor_type.shape.dim[0].CopyFrom(onnx.TensorShapeProto.Dimension(dim_param="N"))
        )
    ),
    "another input": lambda: mean_model((1, 9, 9, 1)),
    "another input's name": lambda: _changed(lambda model: setattr(model.graph.input[0], "name", "x")),
    "another output's name": lambda: _changed(lambda model: setattr(model.graph.output[0], "name", "x")),
    "doubles": lambda: _changed(
        lambda model: setattr(model.graph.output[0].type.tensor_type, "elem_type", TensorProto.DOUBLE)
    ),
    "old opset": lambda: mean_model(opset=3),
    "future opset": lambda: mean_model(opset=99),
    "another opset": lambda: mean_model(opset=16),
    "no opset": lambda: _changed(lambda model: model.ClearField("opset_import")),
    "old IR": lambda: _changed(lambda model: setattr(model, "ir_version", 1)),
    "future IR": lambda: _changed(lambda model: setattr(model, "ir_version", 99)),
    "no nodes": lambda: _changed(lambda model: model.graph.ClearField("node")),
    "a circle": lambda: model_of(
        [helper.make_node("Identity", ["b"], ["output"]), helper.make_node("Identity", ["output"], ["b"])]
    ),
    "training": lambda: _changed(lambda model: model.training_info.add()),
}
