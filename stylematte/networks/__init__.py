"""The networks of the matter: backbone, decoder, and both joined."""
