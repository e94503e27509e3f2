"""The ready programs, lived through by their members: at tills with and without a line, in the shop, on the card."""
