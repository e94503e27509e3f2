"""The generator and the guard of the contract, on a small contract of their own."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools import protos

ROOT = Path(__file__).parents[2]

CONTRACT = """syntax = "proto3";

// A contract for a test.
package tallystick.v1;

import "buf/validate/validate.proto";
import "google/rpc/status.proto";

// Thing is a thing.
message Thing {
  // name is what it is called.
  string name = 1 [(buf.validate.field).string.max_len = 8];
  // status is how it is.
  google.rpc.Status status = 2;
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "protos" / "tallystick" / "v1").mkdir(parents=True)
    (tmp_path / "server" / "tallystick").mkdir(parents=True)
    (tmp_path / "buf.yaml").write_text((ROOT / "buf.yaml").read_text())
    write_contract(tmp_path, CONTRACT)
    return tmp_path


def write_contract(root: Path, text: str) -> None:
    (root / "protos" / "tallystick" / "v1" / "thing.proto").write_text(text)


def test_generation_is_repeated_only_when_the_contract_changed(root: Path) -> None:
    assert protos.generate(root)
    assert not protos.generate(root)
    write_contract(root, CONTRACT.replace("string name", "string label"))
    assert protos.generate(root)
    assert "label" in (root / "server/tallystick/v1/thing_pb2.pyi").read_text()


def test_generated_code_keeps_the_validation_rules_inside_our_package(root: Path) -> None:
    protos.generate(root)
    code = (root / "server/tallystick/v1/thing_pb2.py").read_text()
    assert "from tallystick.v1.buf.validate import validate_pb2" in code
    assert not re.search(r"^(from|import) buf\b", code, re.MULTILINE)
    assert (root / "server/tallystick/v1/buf/validate/validate_pb2.py").exists()


def test_a_contract_that_does_not_compile_leaves_the_former_code_in_place(root: Path) -> None:
    protos.generate(root)
    before = (root / "server/tallystick/v1/thing_pb2.py").read_text()
    write_contract(root, CONTRACT.replace("string name", "strng name"))
    with pytest.raises(protos.ProtoError, match="strng"):
        protos.generate(root)
    assert (root / "server/tallystick/v1/thing_pb2.py").read_text() == before
    assert [path.name for path in (root / "server/tallystick").iterdir()] == ["v1"]


def test_an_element_without_a_comment_does_not_pass(root: Path) -> None:
    protos.lint(root)
    write_contract(root, CONTRACT.replace("  // name is what it is called.\n", ""))
    with pytest.raises(protos.ProtoError, match='"name" should have a non-empty comment'):
        protos.lint(root)


def test_a_change_that_breaks_clients_passes_only_when_it_is_accepted(root: Path) -> None:
    protos.accept_baseline(root)
    broken = CONTRACT.replace("string name = 1 [(buf.validate.field).string.max_len = 8]", "int64 name = 1")
    write_contract(root, broken)
    with pytest.raises(protos.ProtoError, match="name"):
        protos.lint(root)
    with pytest.raises(protos.ProtoError, match="name"):
        protos.accept_baseline(root)
    protos.accept_baseline(root, accept_breaking=True)
    protos.lint(root)


def test_a_new_field_breaks_nobody(root: Path) -> None:
    protos.accept_baseline(root)
    write_contract(
        root, CONTRACT.rstrip().removesuffix("}") + "  // size is how big it is.\n  int64 size = 3;\n}\n"
    )
    protos.lint(root)


def test_the_accepted_baseline_of_the_contract_holds_every_file_of_it() -> None:
    image = FileDescriptorSet.FromString((ROOT / protos.BASELINE).read_bytes())
    accepted = {Path(file.name).name for file in image.file if file.package == "tallystick.v1"}
    present = {path.name for path in (ROOT / "protos/tallystick/v1").glob("*.proto")}
    assert accepted
    assert accepted <= present


def test_the_project_asks_for_the_versions_that_generated_code_needs(root: Path) -> None:
    protos.generate(root)
    code = (root / "server/tallystick/v1/thing_pb2.py").read_text()
    stubs = (root / "server/tallystick/v1/thing_pb2_grpc.py").read_text()
    protobuf = re.search(r"^# Protobuf Python Version: (\S+)$", code, re.MULTILINE)
    grpcio = re.search(r"^GRPC_GENERATED_VERSION = '(\S+)'$", stubs, re.MULTILINE)
    assert protobuf is not None
    assert grpcio is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major = int(protobuf[1].partition(".")[0])
    assert f"protobuf>={protobuf[1]},<{major + 2}" in project["dependencies"]
    for extra in ("server", "till", "webshop"):
        assert f"grpcio>={grpcio[1]}" in project["optional-dependencies"][extra]
