"""Inversion of the teacher: generators, loss terms, priors and targets that synthesise samples."""
