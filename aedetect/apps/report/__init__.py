"""A report of a detector and a table: one page of HTML that needs nothing else."""
