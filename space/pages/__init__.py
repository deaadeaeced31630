"""One module per page of the hub."""
