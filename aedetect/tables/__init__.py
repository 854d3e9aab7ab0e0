"""Tables as people have them: read from files, told apart by columns, turned into numbers."""
