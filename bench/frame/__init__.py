"""What every benchmark shares: its declaration, alternating times, figures, results.json and the tables of the documents."""
