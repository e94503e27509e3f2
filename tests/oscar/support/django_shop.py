"""The demo shop inside the test's own process, on a database in memory, with a gateway whose answers are scripted."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def set_up_django() -> None:
    """Load the demo shop's settings into this process, once."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    place = tempfile.mkdtemp(prefix="demo-shop-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.environ["DEMO_SHOP_DIR"] = place
    os.environ["DJANGO_SETTINGS_MODULE"] = "quick_settings"
    sys.path.append(str(HERE))
    try:
        django.setup()
    finally:
        sys.path.remove(str(HERE))
        # Processes that tests start have settings of their own.
        del os.environ["DJANGO_SETTINGS_MODULE"], os.environ["DEMO_SHOP_DIR"]


@contextmanager
def tables() -> Iterator[None]:
    """Make the shop's tables in memory; remove them at the end."""
    from django.test.utils import (
        setup_databases,
        setup_test_environment,
        teardown_databases,
        teardown_test_environment,
    )

    setup_test_environment()
    made = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)
        teardown_test_environment()


class Scripted:
    """Stands where the connection stands, and answers each call by the next of the functions that were given."""

    def __init__(self, *answers: Callable[..., Any]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return self.answers.pop(0)(*args, **kwargs)

        return call
