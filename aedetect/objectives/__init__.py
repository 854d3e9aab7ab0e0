"""What is minimised, and how rows are coded, rebuilt and scored."""
