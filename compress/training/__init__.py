"""What any training loop needs: device and precision, ranks, schedules, optimisers, augmentation, guards, progress."""
