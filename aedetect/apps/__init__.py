"""What people run: the command line, the demo, tables, explanations, figures."""
