"""The demo: the main job on embedded parts, told as a story, watched live, and left behind as a report."""
