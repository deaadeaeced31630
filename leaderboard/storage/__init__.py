"""What a hub remembers: database, files, copies of both."""
