"""Finding faces in a picture and following them through a video."""
