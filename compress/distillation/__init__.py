"""Distillation: the training loop, the student's losses, hints."""
