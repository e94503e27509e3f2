"""The replay of a retailer's sales file: read it, plan commands, post them through gRPC, account for every row."""
