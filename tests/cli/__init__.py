"""The command line: in processes of its own where that is the point, otherwise module by module."""
