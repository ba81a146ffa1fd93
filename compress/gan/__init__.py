"""Collected images: on their own, beside synthetic samples, and a GAN that is trained on them."""
