"""A run folder read into typed data, and the HTML page and the table made of it."""
