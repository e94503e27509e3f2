"""Programs of others that check the signature of a pass."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

TIMEOUT_S = 60.0
_HERE = Path(__file__).parent
_EXPORTS = [f"--add-exports=java.base/sun.security.{name}=ALL-UNNAMED" for name in ("pkcs", "util", "x509")]

# The JDK is asked where there is one: it is too large to be installed for this alone.
NAMES = ("openssl", "gnutls", *(("jdk",) if shutil.which("java") and shutil.which("javac") else ()))


def install() -> None:
    """Make sure that the programs are there."""
    script = _HERE.parents[1] / "tools" / "validators.sh"
    subprocess.run(["sh", str(script)], check=True, capture_output=True, timeout=300)


def accepts(name: str, files: Mapping[str, bytes], authority: x509.Certificate, folder: Path) -> bool:
    """Whether a program takes the signature of a pass for a signature of its manifest."""
    signature, manifest, trusted = folder / "signature", folder / "manifest.json", folder / "authority.pem"
    signature.write_bytes(files["signature"])
    manifest.write_bytes(files["manifest.json"])
    trusted.write_bytes(authority.public_bytes(Encoding.PEM))
    names = (str(signature), str(manifest), str(trusted))
    commands = {
        "openssl": (
            "openssl smime -verify -binary -purpose any -inform DER -out /dev/null",
            "-in -content -CAfile",
        ),
        "gnutls": ("certtool --p7-verify --inder", "--infile --load-data --load-ca-certificate"),
        "jdk": (f"java {' '.join(_EXPORTS)} {_HERE / 'VerifyPass.java'}", ""),
    }
    program, options = (text.split() for text in commands[name])
    given = [part for pair in zip(options, names, strict=True) for part in pair] if options else list(names)
    done = subprocess.run([*program, *given], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.returncode == 0
