"""Photo -> alpha with a trained matter: whole, scaled or in tiles, and how sure the matter is."""
