"""Video: clips with exact alpha, their matting steady over time, and how good a clip of mattes is."""
