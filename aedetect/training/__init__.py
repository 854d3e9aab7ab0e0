"""How networks learn, many at a time; it knows no estimator."""
