"""`manage.py tallystick_post`: sends what the gateway has not heard yet."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tallystick_oscar import outbox, wishes
from tallystick_oscar.models import Posting


class Command(BaseCommand):
    """Run it from cron every minute, or with --loop as a service of its own. Several at once do no harm."""

    help = "Send captures, earnings, returns and voids that wait in the shop's database to the gateway."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="Go on until it is stopped.")
        parser.add_argument(
            "--every", type=float, default=10.0, metavar="S", help="Seconds between rounds (10)."
        )
        parser.add_argument("--now", action="store_true", help="Do not wait for the pauses after failures.")
        parser.add_argument(
            "--retry-refused", action="store_true", help="Send refused ones again as they are."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["retry_refused"]:
            self.stdout.write(f"{outbox.send_again(Posting.objects.all())} refused postings wait again.")
        while True:
            done, waiting = outbox.post_due(everything=options["now"])
            wishes.tell_due(everything=options["now"])
            if done or waiting or not options["loop"]:
                self.stdout.write(f"{done} decided, {waiting} waiting.")
                self.stdout.flush()
            if not options["loop"]:
                return
            time.sleep(options["every"])
