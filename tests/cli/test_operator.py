"""What an operator meets: keys, migrations, TLS, wrong settings."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.storage import open_store
from tests.cli.shell import Shell
from tests.storage.build import PROGRAM, Books
from tests.support.postgres import Database


def test_keys_are_made_once_listed_without_secrets_and_rotated(shell: Shell) -> None:
    shell.prepare("keys", "create")
    again = shell.here("keys", "create")
    assert again.code == 3
    assert "never overwritten" in again.err
    before = shell.prepare("keys", "show", "--json").json
    assert len(before["signing"]) == 1
    shell.prepare("keys", "rotate")
    shell.prepare("keys", "rotate", "--sealing")
    shown = shell.prepare("keys", "show")
    after = shell.prepare("keys", "show", "--json").json
    assert [key["signs"] for key in after["signing"]] == [True, False]
    assert after["sealing"] == [1, 2]
    secret = (shell.data_dir / "keys" / "hashing.key").read_text().strip()
    assert secret not in shown.out


def test_an_old_database_is_not_served_with_new_keys(shell: Shell) -> None:
    shell.prepare("migrate")
    shell.prepare("keys", "create")
    shell.prepare(
        "keys",
        "device",
        "--program",
        "corner",
        "--create-program",
        "live",
        "--role",
        "admin",
        "--profile",
        "a",
    )
    (shell.data_dir / "keys").rename(shell.data_dir / "lost")
    refused = shell.run("serve", "--listen", "127.0.0.1:0", "--http-listen", "")
    assert refused.code == 3
    assert "restore the key directory" in refused.err


def test_who_made_a_program_before_the_first_start_is_told_to_make_the_keys(shell: Shell) -> None:
    shell.prepare("migrate")
    made = ("--program", "corner", "--create-program", "live", "--role", "admin", "--profile", "a")
    shell.prepare("keys", "device", *made)
    refused = shell.here("serve", "--listen", "127.0.0.1:0", "--http-listen", "")
    assert refused.code == 3
    assert "if no server has ever run on this database, run `tallystick keys create`" in refused.err
    shell.prepare("keys", "create")
    with shell.running("serve") as server:
        shell.succeed("device", "list", "--profile", "a", "--server", server.address)


def test_a_database_that_was_not_migrated_is_refused_with_the_command_that_mends_it(shell: Shell) -> None:
    shell.data_dir.mkdir(parents=True)
    refused = shell.run("serve", "--listen", "127.0.0.1:0", "--http-listen", "")
    assert refused.code == 3
    assert "tallystick migrate" in refused.err
    assert shell.prepare("migrate", "--json").json == shell.prepare("migrate", "--json").json


def test_a_role_that_sees_all_programs_is_not_served_with(shell: Shell, database: Database) -> None:
    shell.prepare("migrate", env={"TALLYSTICK_DATABASE_URL": database.owner_url})
    superuser = {"TALLYSTICK_DATABASE_URL": database.admin_url}
    refused = shell.run("serve", "--listen", "127.0.0.1:0", "--http-listen", "", env=superuser)
    assert refused.code == 3
    assert "tallystick_app" in refused.err


def test_wrong_settings_stop_the_start_with_code_2(shell: Shell) -> None:
    mistyped = shell.run("serve", env={"TALLYSTICK_LISTN": "x"})
    assert mistyped.code == 2
    assert "did you mean TALLYSTICK_LISTEN?" in mistyped.err
    assert shell.run("serve", "--workers", "2").code == 2
    assert shell.run("serve", "--database", "mysql://localhost/x").code == 2


def test_settings_are_listed_without_the_passwords_in_them(shell: Shell) -> None:
    secret = {
        "TALLYSTICK_DATABASE_URL": "postgresql://app:geheim@db/tallystick",
        "TALLYSTICK_SMTP_USER": "card",
        "TALLYSTICK_SMTP_PASSWORD": "geheim-too",
        "TALLYSTICK_SMS_URL": "https://sms.example.org/send",
        "TALLYSTICK_SMS_SECRET": "whsec_" + "geheim" * 6,
        "TALLYSTICK_NATS_URL": "nats://events:geheim@127.0.0.1:4222",
    }
    told = shell.prepare("settings", env=secret).out
    assert "TALLYSTICK_DRAIN_WAIT_S" in told
    assert "nats_url = 'nats://***@127.0.0.1:4222'" in told
    assert "geheim" not in told
    assert "geheim" not in shell.prepare("settings", "--json", env=secret).out


def test_devices_need_a_program_a_known_role_and_a_till_its_store(shell: Shell) -> None:
    shell.prepare("migrate")
    device = ("keys", "device", "--program", "corner", "--profile", "one")
    assert "there is no program 'corner'" in shell.here(*device, "--role", "admin").err
    assert shell.here(*device, "--role", "boss", "--create-program", "live").code == 2
    assert (
        "a till belongs to a store" in shell.here(*device, "--role", "till", "--create-program", "live").err
    )
    clash = shell.here(*device, "--role", "admin", "--create-program", "replay")
    assert "with another clock" in clash.err
    assert (
        shell.here(
            "keys",
            "device",
            "--program",
            "Corner!",
            "--profile",
            "x",
            "--role",
            "admin",
            "--create-program",
            "live",
        ).code
        == 2
    )
    assert shell.here(*device[:-1], "../x", "--role", "admin").code == 3


def test_an_export_needs_to_know_which_program_and_overwrites_nothing(shell: Shell, tmp_path: Path) -> None:
    shell.prepare("migrate")
    assert "has 0 programs" in shell.here("export", "accounts").err
    for program in ("one", "two"):
        shell.prepare(
            "keys",
            "device",
            "--program",
            program,
            "--create-program",
            "live",
            "--role",
            "admin",
            "--profile",
            "a",
        )
    several = shell.here("export", "accounts")
    assert several.code == 2
    assert "--program: one, two" in several.err
    out = tmp_path / "accounts.csv"
    assert "0 accounts of one" in shell.prepare("export", "accounts", "--program", "one", "--out", out).out
    assert "nothing is overwritten" in shell.here("export", "accounts", "--program", "one", "--out", out).err
    assert shell.here("verify", "--program", "three").code == 3


# What SQLite keeps beside its file for readers has 32 KiB; 199 accounts as JSON have more.
IN_FULL = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (36_000, 36_000))
runpy.run_module("tallystick", run_name="__main__", alter_sys=True)
"""


def test_what_a_full_disk_cuts_short_is_said_in_a_line_and_no_part_of_a_file_stays(
    shell: Shell, tmp_path: Path
) -> None:
    shell.prepare("migrate")
    made = ("--program", PROGRAM, "--create-program", "live", "--role", "admin", "--profile", "a")
    shell.prepare("keys", "device", *made)
    store = open_store(f"sqlite:///{shell.data_dir / 'tallystick.db'}")
    books = Books(store)
    for number in range(1, 200):
        books.enrol(number)
    store.close()
    out = tmp_path / "accounts.csv"
    export = ("export", "accounts", "--format", "jsonl")
    for arguments in (export, (*export, "--out", out), ("verify",)):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-c", IN_FULL, *map(str, arguments)],
                env=shell.environment,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        assert done.returncode == 3, done.stderr
        assert re.fullmatch(r"tallystick: .*(No space left on device|File too large)\n", done.stderr)
    assert not out.exists()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tallystick test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, key_file


def test_calls_are_encrypted_for_who_trusts_the_certificate_and_fail_for_who_does_not(
    shell: Shell, certificate: tuple[Path, Path]
) -> None:
    chain, key_file = certificate
    shell.prepare("migrate")
    shell.prepare("keys", "create")
    shell.prepare(
        "keys",
        "device",
        "--program",
        "corner",
        "--create-program",
        "live",
        "--role",
        "admin",
        "--profile",
        "admin",
    )
    profile_file = shell.data_dir / "profiles" / "admin" / "profile.json"
    profile = json.loads(profile_file.read_text())
    with shell.running("serve", "--tls-cert", str(chain), "--tls-key", str(key_file)) as server:
        plain = shell.run("device", "list", "--server", server.address)
        assert plain.code == 3
        profile_file.write_text(json.dumps({**profile, "tls_ca": str(chain)}))
        listed = shell.succeed("device", "list", "--server", server.address, "--json").json
    assert [device["role"] for device in listed["devices"]] == ["admin"]
