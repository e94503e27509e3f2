"""The pure core: what a command does to a member's points, decided without I/O, clock, randomness or floats.

Till, webshop gateway, server and simulator call the same functions, so they always compute the same points and
give the same reasons. Everything here is standard library only.
"""
