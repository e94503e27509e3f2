"""Mails: what they say, in five languages, and how they leave."""
