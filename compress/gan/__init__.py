"""Parts of hidfd and kd: collected images, and a GAN that is trained on them."""
