"""Pictures of detectors, their errors and their codes, in the manner of scikit-learn's displays."""
