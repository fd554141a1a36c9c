"""What the tests share: commands, pattern data, views of image files."""
