"""`manage.py tallystick_demo`: the tables, articles, people and the kinds of events. Repeating it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from oscar.apps.catalogue.categories import create_from_breadcrumbs
from oscar.core.loading import get_model

from demo_shop.people import PEOPLE, SHOPPER
from demo_shop.pictures import picture
from tallystick_oscar.models import MemberLink

STOCK = 10_000


@dataclass(frozen=True, slots=True)
class Article:
    """Something to buy; ``price`` is the one on the label, tax included."""

    sku: str
    title: str
    text: str
    price: str
    kind: str
    category: str
    shape: str
    colour: str


ARTICLES = (
    Article(
        "COF-1",
        "House blend, 500 g",
        "Nutty and round, roasted on Tuesdays.",
        "8.99",
        "food",
        "Coffee",
        "bag",
        "#8c5a3c",
    ),
    Article(
        "COF-2",
        "Single farm, 250 g",
        "Bright, with a little lime.",
        "7.49",
        "food",
        "Coffee",
        "bag",
        "#4f7a5b",
    ),
    Article(
        "TEA-1", "Green tea, 100 g", "First flush, whole leaves.", "6.25", "food", "Tea", "box", "#7c9a5e"
    ),
    Article(
        "BOO-1",
        "The patient cup",
        "A book about brewing slowly.",
        "19.90",
        "food",
        "Books",
        "book",
        "#a63d40",
    ),
    Article(
        "MUG-1",
        "Mug, 300 ml",
        "Stoneware, for the dishwasher.",
        "12.95",
        "goods",
        "Equipment",
        "mug",
        "#3d6b8c",
    ),
    Article(
        "PRE-1", "French press, 1 l", "Glass and steel.", "34.90", "goods", "Equipment", "press", "#6b4226"
    ),
    Article(
        "KET-1", "Kettle", "Whistles when it is done.", "59.00", "goods", "Equipment", "kettle", "#c77d3a"
    ),
    Article("FIL-1", "Paper filters, 100", "Unbleached.", "3.33", "goods", "Equipment", "box", "#c9b08a"),
)


class Command(BaseCommand):
    """Makes the tables and loads the demo."""

    help = "Make the demo shop's tables and load articles, people, a country to ship to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--member", default="", metavar="UUID", help=f"Link {SHOPPER.email} to this member."
        )
        parser.add_argument(
            "--host", default="127.0.0.1:8000", help="Where the shop is reached, for links in mails."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        # Here, because another process would take longer to load Django than to make the tables.
        call_command("migrate", run_syncdb=True, verbosity=0)
        self._load(options)
        self.stdout.write(f"{len(ARTICLES)} articles, {len(PEOPLE)} people.")

    @transaction.atomic
    def _load(self, options: dict[str, Any]) -> None:
        Site.objects.update_or_create(pk=1, defaults={"domain": options["host"], "name": "Bean & Kettle"})
        get_model("address", "Country").objects.get_or_create(
            iso_3166_1_a2="DE",
            defaults={
                "iso_3166_1_a3": "DEU",
                "iso_3166_1_numeric": "276",
                "name": "Germany",
                "printable_name": "Germany",
                "is_shipping_country": True,
            },
        )
        for model, name in (("ShippingEventType", "Shipped"), ("ShippingEventType", "Returned")):
            get_model("order", model).objects.get_or_create(code=name.lower(), defaults={"name": name})
        for article in ARTICLES:
            _article(article)
        for person in PEOPLE:
            _person(person)
        if options["member"]:
            user = get_user_model().objects.get(email=SHOPPER.email)
            MemberLink.objects.get_or_create(user=user, defaults={"member_id": options["member"]})


def _article(article: Article) -> None:
    product_model = get_model("catalogue", "Product")
    if product_model.objects.filter(upc=article.sku).exists():
        return
    kind, _made = get_model("catalogue", "ProductClass").objects.get_or_create(
        slug=article.kind,
        defaults={"name": article.kind.title(), "requires_shipping": True, "track_stock": True},
    )
    product = product_model.objects.create(
        upc=article.sku, title=article.title, description=f"<p>{article.text}</p>", product_class=kind
    )
    product.categories.add(create_from_breadcrumbs(article.category))
    partner, _made = get_model("partner", "Partner").objects.get_or_create(
        code="bean-kettle", defaults={"name": "Bean & Kettle"}
    )
    get_model("partner", "StockRecord").objects.create(
        product=product,
        partner=partner,
        partner_sku=article.sku,
        price_currency="EUR",
        price=Decimal(article.price),
        num_in_stock=STOCK,
    )
    image = get_model("catalogue", "ProductImage")(product=product, caption=article.title)
    image.original.save(f"{article.sku}.png", ContentFile(picture(article.shape, article.colour)))


def _person(person: Any) -> None:
    users = get_user_model().objects
    if users.filter(email=person.email).exists():
        return
    user = users.create_user(
        person.email.split("@")[0], person.email, person.password, first_name=person.first_name
    )
    user.is_staff = user.is_superuser = person.staff
    user.save()
    if person.staff:
        return
    get_model("address", "UserAddress").objects.create(
        user=user,
        first_name=person.first_name,
        last_name="Example",
        line1="Lindenstrasse 7",
        line4="Berlin",
        postcode="10969",
        country=get_model("address", "Country").objects.get(pk="DE"),
        is_default_for_shipping=True,
    )
