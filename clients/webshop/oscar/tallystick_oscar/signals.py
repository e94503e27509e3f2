"""What this application tells the shop."""

from django.dispatch import Signal

hold_lost = Signal()
"""A payment went through and its order could not be placed, as its hold was over and could not be renewed.

Arguments: ``order_number``, ``basket`` and ``error``. A shop that has taken money gives it back here.
"""
