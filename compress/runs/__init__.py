"""Jobs: resolve settings, prepare models and data, run all rounds, score, export."""
