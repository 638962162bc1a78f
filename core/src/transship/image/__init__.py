"""What an image is: values without input or output."""
