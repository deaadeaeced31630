"""Caption metrics, exact against the published tools; every number carries a signature."""
