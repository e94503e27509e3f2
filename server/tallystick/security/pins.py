"""PINs of cashiers: argon2id with a key of the server beside the salt.

A PIN has at most eight digits, so that no hash alone protects it: whoever has a copy of the database must also have
the server's key directory before a single guess can be tested.
"""

import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MEMORY_KIB = 19_456
ITERATIONS = 2
LANES = 1
"""What OWASP recommends for argon2id; about 20 ms of one core."""

HASH_BYTES = 32
SALT_BYTES = 16


def hash_pin(key: bytes, pin: str) -> str:
    """Return what is stored of a PIN, in the PHC format."""
    kdf = Argon2id(
        salt=secrets.token_bytes(SALT_BYTES),
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
        secret=key,
    )
    return kdf.derive_phc_encoded(pin.encode())


def pin_holds(key: bytes, stored: str, pin: str) -> bool:
    """Return whether a PIN is the stored one. With an empty ``stored`` none is, which takes as long to say."""
    try:
        Argon2id.verify_phc_encoded(pin.encode(), stored or _decoy(), secret=key)
    except InvalidKey:
        return False
    return True


@lru_cache(maxsize=1)
def _decoy() -> str:
    return hash_pin(secrets.token_bytes(HASH_BYTES), "")
