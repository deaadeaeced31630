"""One module per metric; the module's name is the metric's id."""
