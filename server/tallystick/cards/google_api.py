"""Calls of the Google Wallet API, proven by a service account (RFC 7523)."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tallystick.cards.refused import PassRefused
from tallystick.core.record import record

API_URL = "https://walletobjects.googleapis.com"
TIMEOUT_S = 15.0
ANSWER_BYTES_MAX = 1_048_576
FILE_BYTES_MAX = 65_536
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 3_600
TOKEN_SPARE_S = 120

_OTHERS = 0o077


class GoogleAway(Exception):
    """The API could not be reached or asks to come back later."""


class GoogleRefused(Exception):
    """The API refuses what it was sent; the text is its status and its word for it."""


@record(frozen=True, slots=True)
class ServiceAccount:
    """Who we are to Google: read from the key file that it gives out."""

    email: str
    key_id: str
    token_uri: str
    key: rsa.RSAPrivateKey = field(repr=False)


def load_account(file: Path) -> ServiceAccount:
    """Read a service account's key file (JSON). Raises ``PassRefused``."""
    try:
        with file.open("rb") as stream:
            document = json.loads(stream.read(FILE_BYTES_MAX))
        if file.stat().st_mode & _OTHERS:
            raise PassRefused(f"{file} is open to other accounts: run `chmod 600 {file}`")
        key = serialization.load_pem_private_key(document["private_key"].encode(), password=None)
        email, key_id = str(document["client_email"]), str(document["private_key_id"])
        token_uri = str(document["token_uri"])
    except OSError as error:
        raise PassRefused(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PassRefused(f"{file} is no key file of a service account") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PassRefused(f"{file} holds a key of another kind than Google's")
    return ServiceAccount(email, key_id, token_uri, key)


class GoogleApi:
    """Sends documents. Safe to use from several threads, one call at a time.

    ``url`` is the API's address; tests have one of their own.
    """

    def __init__(
        self,
        account: ServiceAccount,
        *,
        url: str = API_URL,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._account = account
        self._url = url
        self._now_s = now_s
        self._token = ""
        self._token_until_s = 0
        self._lock = threading.Lock()

    def put(self, kind: str, document: dict[str, Any]) -> None:
        """Insert a document of a kind ("loyaltyClass"), or change the one that is there.

        Raises ``GoogleAway`` and ``GoogleRefused``.
        """
        if self._call("POST", f"/walletobjects/v1/{kind}", document, known=http.client.CONFLICT):
            self.patch(kind, document)

    def patch(self, kind: str, document: dict[str, Any]) -> None:
        """Change a document that is there. Raises as ``put``."""
        self._call("PATCH", f"/walletobjects/v1/{kind}/{quote(document['id'], safe='')}", document)

    def _call(self, method: str, path: str, document: dict[str, Any], *, known: int = 0) -> bool:
        """Send a document; True when the answer is the status that is known."""
        with self._lock:
            headers = {"authorization": f"Bearer {self._bearer()}", "content-type": "application/json"}
            status, answer = _sent(self._url, method, path, json.dumps(document).encode(), headers)
            if status == http.client.UNAUTHORIZED:
                self._token_until_s = 0
                raise GoogleAway("the token was not taken")
        if status == http.client.TOO_MANY_REQUESTS or status >= http.client.INTERNAL_SERVER_ERROR:
            raise GoogleAway(f"the API answers {status}")
        if status != known and not 200 <= status < 300:
            raise GoogleRefused(f"{status} {_reason(answer)}".strip())
        return status == known

    def _bearer(self) -> str:
        now_s = self._now_s()
        if now_s < self._token_until_s:
            return self._token
        account = self._account
        claims = {"iss": account.email, "scope": SCOPE, "aud": account.token_uri, "iat": now_s}
        assertion = jwt.encode(
            {**claims, "exp": now_s + ASSERTION_S}, account.key, "RS256", headers={"kid": account.key_id}
        )
        where = urlsplit(account.token_uri)
        body = urlencode({"grant_type": GRANT, "assertion": assertion}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        status, answer = _sent(f"{where.scheme}://{where.netloc}", "POST", where.path, body, headers)
        if status != http.client.OK:
            raise GoogleAway(f"no token was given: {status} {_reason(answer)}".strip())
        try:
            said = json.loads(answer)
            self._token, lives_s = str(said["access_token"]), int(said["expires_in"])
        except (ValueError, KeyError, TypeError) as error:
            raise GoogleAway("what was given is no token") from error
        self._token_until_s = now_s + lives_s - TOKEN_SPARE_S
        return self._token


def _sent(url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    where = urlsplit(url)
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(where.netloc, timeout=TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(where.netloc, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise GoogleAway(f"{where.netloc} cannot be reached: {error}") from error
    finally:
        connection.close()


def _reason(answer: bytes) -> str:
    """Google's own word for a fault; never the text around it, which may repeat what was sent."""
    try:
        said = json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(said.get("status", "")) if isinstance(said, dict) else str(said)
