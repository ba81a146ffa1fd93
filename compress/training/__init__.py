"""Parts of training loops: device and precision, workers, schedules, optimisers, augmentation, guards, progress."""
