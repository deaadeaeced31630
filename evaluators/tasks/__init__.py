"""What papers report beside scores of captions: retrieval, classification, distances, agreement, judges, whole benchmarks."""
