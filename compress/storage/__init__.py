"""Reading and writing: files, locks, checkpoints, settings files, the run directory."""
