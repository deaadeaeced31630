"""How a config is built: parts of it by any number of processes, put together in a workshop, brought to its place."""
