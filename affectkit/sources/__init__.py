"""Where pictures come from: files, URLs, folders, arrays, cameras; each frame with its real time."""
