"""The one reason why a pass is not made."""


class PassRefused(Exception):
    """A pass would not be accepted by a wallet; the text says why."""
