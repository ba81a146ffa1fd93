"""What is read from and written to disk: files, locks, checkpoints, settings files, the run directory."""
