"""The samples' half of a run: inversion of the teacher, its networks, loss terms, priors and targets."""
