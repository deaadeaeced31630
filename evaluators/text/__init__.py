"""Texts as words and n-grams, and transcripts made alike."""
