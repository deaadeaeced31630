"""From published numbers to tables that people read."""
