"""What can be found, ranked: an index of SQLite's FTS5 for each view, built in one process and read in another."""
