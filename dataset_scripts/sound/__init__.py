"""Sound: finding files, reading and writing samples, giving rows their audio, mixing pairs."""
