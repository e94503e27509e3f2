"""Tallystick rewards for a django-oscar shop: discount, hold, capture, returns and the member's account."""
