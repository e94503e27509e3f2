# What users have changed and the gateway is to hear of.

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tallystick_oscar", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Wanting",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("wishes", "Wish list"), ("basket", "Basket")],
                        max_length=8,
                        verbose_name="Kind",
                    ),
                ),
                ("changed_at", models.DateTimeField(verbose_name="Changed at")),
                ("due_at", models.DateTimeField(db_index=True, verbose_name="Told at")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "Change to be told",
                "verbose_name_plural": "Changes to be told",
                "constraints": [
                    models.UniqueConstraint(fields=("user", "kind"), name="tallystick_one_change")
                ],
            },
        ),
    ]
