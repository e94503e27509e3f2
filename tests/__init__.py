"""The tests of Tallystick; `make test` runs them all."""
