"""What only hidfd and kd need: a GAN that learns from collected images, and their features."""
