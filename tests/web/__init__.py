"""The cashier's screen in a real Chromium, on a real till process with a real gateway behind it."""
