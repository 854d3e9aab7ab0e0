"""Pictures of detectors, their errors and their codes, in the style of scikit-learn's displays."""
