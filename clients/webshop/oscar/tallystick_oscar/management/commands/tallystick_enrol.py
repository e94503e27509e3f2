"""`manage.py tallystick_enrol`: makes this shop's key and registers it with a manager's code."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tallystick_oscar import conf
from tallystick_webshop import Shop, ShopError


class Command(BaseCommand):
    """The manager makes the code with `tallystick device code --role webshop` and compares the fingerprint."""

    help = "Enrol this shop with a gateway."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--gateway", required=True, metavar="HOST:PORT", help="Address of the gateway's gRPC."
        )
        parser.add_argument("--program", required=True, help="The program's id.")
        parser.add_argument("--code", required=True, help="The manager's code, such as K7AB-9QRS-TVWX.")
        parser.add_argument(
            "--issuer", required=True, help="The gateway's issuer, as `tallystick settings` says."
        )
        parser.add_argument(
            "--tls-ca", default="", metavar="FILE", help="The authority of its certificate (PEM)."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        profile = conf.get("TALLYSTICK_PROFILE")
        if not profile:
            raise CommandError("Set TALLYSTICK_PROFILE to a directory that only the shop may read.")
        try:
            made = Shop.enrol(
                profile,
                server=options["gateway"],
                program_id=options["program"],
                code=options["code"],
                issuer=options["issuer"],
                tls_ca=options["tls_ca"],
            )
        except ShopError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Registered as {made.device_id}.")
        self.stdout.write(f"Fingerprint {made.fingerprint}")
        self.stdout.write(
            f"A manager confirms it: tallystick device confirm {made.device_id} '{made.fingerprint}'"
        )
