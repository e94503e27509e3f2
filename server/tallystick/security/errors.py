"""The exception tree of the security primitives."""


class SecurityError(Exception):
    """Something offered as proof, key or sealed data cannot be trusted.

    The messages of every subclass are safe to log: they name what is wrong, never the token, key or text.
    """


class KeyRefused(SecurityError):
    """A key is not an acceptable P-256 key."""


class KeyDirRefused(SecurityError):
    """The key directory is missing, readable by others, damaged or weak; the message names the mend."""


class SealBroken(SecurityError):
    """Sealed data was changed, moved to another member or sealed under a key that is not at hand."""
