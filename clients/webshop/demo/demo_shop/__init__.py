"""A small shop that sells coffee and what belongs to it, in euro, at Germany's two tax rates."""
