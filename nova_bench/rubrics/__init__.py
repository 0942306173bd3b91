"""What judged scorers ask: one file a rubric with its text, its schema, what goes in, its rows and its metrics' columns."""
