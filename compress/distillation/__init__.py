"""The student's half of a run: the loop, the student's losses, hints."""
