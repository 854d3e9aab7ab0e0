"""Rows of numbers, without networks: checks, blocks, thresholds, linear algebra."""
