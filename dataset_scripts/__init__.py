"""Audio-caption corpora under one schema: sources, builder, cards."""
