"""Benchmarks, submissions, the job queue and the ranking behind the hub."""
