"""What is minimised, and how rows are encoded, rebuilt and scored."""
