"""What strangers may know of an installation: who runs it, where its pages are, which wallets it makes passes for."""

from __future__ import annotations

from urllib.parse import urlsplit

from tallystick.core.record import record

LOCAL_HOSTS = frozenset({"", "localhost", "127.0.0.1", "::1"})


@record(frozen=True, slots=True, kw_only=True)
class PublicFace:
    """The installation as phones and browsers see it. ``public_url`` is empty or an origin, such as
    https://points.example.org.
    """

    organization: str = "Tallystick"
    public_url: str = ""
    apple_wallet: bool = False
    google_wallet: bool = False

    @property
    def rp_id(self) -> str:
        """The name that passkeys belong to (WebAuthn Level 3, relying party identifier): a domain, never an address."""
        return "localhost" if self._is_local else self._host

    def accepts_origin(self, origin: str) -> bool:
        """Whether a page of this origin may use the passkeys: that of the public URL alone.

        Without one it is this machine's own pages, on whatever port they are served while somebody tries things out.
        """
        try:
            url = urlsplit(origin)
            if self._is_local:
                return url.scheme in ("http", "https") and url.hostname == "localhost"
        except ValueError:
            return False
        wanted = urlsplit(self.public_url)
        return origin == f"{wanted.scheme}://{wanted.netloc}".lower()

    @property
    def _host(self) -> str:
        return urlsplit(self.public_url).hostname or ""

    @property
    def _is_local(self) -> bool:
        return self._host in LOCAL_HOSTS
