"""The till's process: one Till, its connection, and the screen with its local JSON API on this machine."""
