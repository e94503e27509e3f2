"""The settings of the server: what there are, where they are read from, and which are refused."""
