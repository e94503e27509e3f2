"""Works on the contract in protos/: generates its Python, lints it, guards it against breaking changes.

`generate` serves the hatch build hook (editable and wheel builds) and `make protos`, and writes nothing while
its inputs are unchanged. Run as `python -m tools.protos generate|lint|baseline`.

The rules of `buf.validate` are an import of our protos. protovalidate ships neither its `.proto` nor a module
for the google runtime, only a descriptor: protoc gets it as a descriptor set, and the module that comes of it
stays inside `tallystick.v1`, so that the distribution never owns a top-level package called `buf`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tallystick/v1"
VALIDATE_PROTO = "buf/validate/validate.proto"
BASELINE = "protos/baseline.binpb"
TOOL_TIMEOUT_S = 120
GENERATORS = ("grpcio-tools", "mypy-protobuf", "protovalidate", "googleapis-common-protos", "protobuf")
WELL_KNOWN_TYPES = ("any", "descriptor", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")

_STAMP_NAME = ".stamp"
_VENDORED_IMPORT = re.compile(r"\bbuf\.validate(?= import validate_pb2\b|\.validate_pb2\b)")


class ProtoError(Exception):
    """The contract does not compile, does not meet its rules or breaks its clients; the text says where."""


def generate(root: Path = ROOT, *, force: bool = False) -> bool:
    """Writes `server/tallystick/v1` from the protos; returns False when it was current already.

    Raises `ProtoError` when a proto does not compile; what was generated before then stays as it was.
    """
    out = root / "server" / PACKAGE
    digest = _input_digest(root)
    stamp = out / _STAMP_NAME
    if not force and stamp.exists() and stamp.read_text() == digest:
        return False
    # Generated beside its destination and moved into place, so that nobody imports half of it.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".v1-") as scratch_name:
        scratch = Path(scratch_name)
        fresh = _compile(root, scratch)
        (fresh / _STAMP_NAME).write_text(digest)
        _replace(out, fresh, scratch / "former")
    return True


def write_image(path: Path, root: Path = ROOT, *, with_source_info: bool) -> None:
    """Writes the contract and its imports as one descriptor set, the form that `buf` reads offline."""
    with tempfile.TemporaryDirectory() as scratch_name:
        imports = _write_import_set(Path(scratch_name))
        flags = ["--include_imports", f"--descriptor_set_out={path}"]
        if with_source_info:
            flags.append("--include_source_info")
        _protoc([*_search_path(root, imports), *flags, *_proto_names(root)])


def lint(root: Path = ROOT) -> None:
    """Holds the contract to buf.yaml and, where a baseline exists, to what its clients rely on."""
    with tempfile.TemporaryDirectory() as scratch_name:
        image = Path(scratch_name) / "contract.binpb"
        write_image(image, root, with_source_info=True)
        _buf(root, "lint", str(image), "--path", PACKAGE)
        if (root / BASELINE).exists():
            _buf(root, "breaking", str(image), "--path", PACKAGE, "--against", BASELINE)


def accept_baseline(root: Path = ROOT, *, accept_breaking: bool = False) -> None:
    """Makes the present contract the one that later changes are compared with.

    Raises `ProtoError` when it breaks the present baseline and `accept_breaking` is not given.
    """
    if not accept_breaking:
        lint(root)
    write_image(root / BASELINE, root, with_source_info=False)


def _input_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in [Path(__file__), *(root / "protos" / name for name in _proto_names(root))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for name in GENERATORS:
        digest.update(f"{name}=={metadata.version(name)}\0".encode())
    return digest.hexdigest()


def _proto_names(root: Path) -> list[str]:
    names = sorted(path.name for path in (root / "protos" / PACKAGE).glob("*.proto"))
    if not names:
        raise ProtoError(f"no .proto file in {root / 'protos' / PACKAGE}")
    return [f"{PACKAGE}/{name}" for name in names]


def _compile(root: Path, scratch: Path) -> Path:
    out = scratch / "out"
    out.mkdir()
    imports = _write_import_set(scratch)
    messages = [f"--python_out={out}", f"--mypy_out=quiet:{out}"]
    stubs = [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"]
    _protoc([*_search_path(root, imports), *messages, *stubs, *_proto_names(root)])
    _protoc([f"--descriptor_set_in={imports}", *messages, VALIDATE_PROTO])
    return _as_package(out)


def _replace(out: Path, fresh: Path, former: Path) -> None:
    try:
        if out.exists():
            out.rename(former)
        fresh.rename(out)
    except OSError:
        # Another process may have put the very same there a moment ago; anything else is an error.
        if (out / _STAMP_NAME).read_text() != (fresh / _STAMP_NAME).read_text():
            raise


def _search_path(root: Path, imports: Path) -> list[str]:
    return [f"--proto_path={root / 'protos'}", f"--descriptor_set_in={imports}"]


def _write_import_set(directory: Path) -> Path:
    """Everything that our protos may import, as a descriptor set; each file follows its own imports."""
    from google.protobuf import descriptor_pb2
    from google.rpc import error_details_pb2, status_pb2
    from protovalidate._gen.buf.validate import validate_pb

    image = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        if file.name not in seen:
            seen.add(file.name)
            file.CopyToProto(image.file.add())

    well_known: list[Any] = [import_module(f"google.protobuf.{name}_pb2") for name in WELL_KNOWN_TYPES]
    for module in (*well_known, error_details_pb2, status_pb2):
        add(module.DESCRIPTOR)
    rules = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    assert rules.name == VALIDATE_PROTO, rules.name
    assert seen.issuperset(rules.dependency), rules.dependency
    image.file.append(rules)
    path = directory / "imports.binpb"
    path.write_bytes(image.SerializeToString())
    return path


def _as_package(out: Path) -> Path:
    """Moves the generated validation rules below our package and mends the imports; returns the package."""
    package = out / PACKAGE
    (out / "buf").rename(package / "buf")
    for path in [*package.rglob("*.py"), *package.rglob("*.pyi")]:
        text = path.read_text()
        path.write_text(_VENDORED_IMPORT.sub("tallystick.v1.buf.validate", text))
    for directory in (package, package / "buf", package / "buf" / "validate"):
        (directory / "__init__.py").write_text(
            '"""Generated from protos/ by `make protos`; never edited."""\n'
        )
    return package


def _protoc(arguments: Sequence[str]) -> None:
    _run([sys.executable, "-m", "grpc_tools.protoc", *arguments])


def _buf(root: Path, command: str, *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as cache:
        _run(["buf", command, *arguments, "--config", "buf.yaml"], cwd=root, BUF_CACHE_DIR=cache)


def _run(command: Sequence[str], *, cwd: Path | None = None, **environment: str) -> None:
    # `buf` and the plug-ins of mypy-protobuf lie beside the interpreter, which need not be on PATH.
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", "")])
    program = command[0] if os.sep in command[0] else str(Path(beside) / command[0])
    finished = subprocess.run(
        [program, *command[1:]],
        cwd=cwd,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip()
        raise ProtoError(said or f"{command[0]} ended with {finished.returncode}")


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.protos", description=(__doc__ or "").partition("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    generating = commands.add_parser("generate", help="write server/tallystick/v1 unless it is current")
    generating.add_argument("--force", action="store_true", help="write it even when it is current")
    commands.add_parser("lint", help="check style, comments and compatibility of the protos")
    accepting = commands.add_parser("baseline", help=f"accept the present contract into {BASELINE}")
    accepting.add_argument(
        "--accept-breaking", action="store_true", help="even if it breaks existing clients"
    )
    arguments = parser.parse_args()
    try:
        if arguments.command == "generate":
            if generate(force=arguments.force):
                print(f"Generated server/{PACKAGE}")
        elif arguments.command == "lint":
            lint()
        else:
            accept_baseline(accept_breaking=arguments.accept_breaking)
    except ProtoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
