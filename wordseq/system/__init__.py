"""What the operating system and TensorFlow need."""
