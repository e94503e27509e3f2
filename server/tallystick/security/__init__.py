"""Security primitives: keys, tokens, sealing, blind indexes, identifiers and enrolment codes.

Nothing here reads the clock (`now_s` is always passed in, whole seconds since 1970), touches a database or
imports another part of Tallystick. Randomness comes from `secrets`, in functions whose names say so.
"""
