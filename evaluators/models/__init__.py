"""Models that metrics run: sentence encoders, checkers, CLAP, Java programs; batches, caches and checks of what was loaded."""
