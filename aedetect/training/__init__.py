"""Training of networks, many at a time; independent of estimators."""
