"""What a user would run instead, each from a video file to its own answers."""
