"""Jobs: resolve settings, prepare models and data, follow the rounds, score, hand over."""
