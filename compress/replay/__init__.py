"""The replay buffer and its policies, φ and δ."""
