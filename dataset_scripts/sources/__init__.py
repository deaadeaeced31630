"""One module per dataset; the module's name is the name of its config."""
