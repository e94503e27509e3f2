"""What the tests of the screen share."""
