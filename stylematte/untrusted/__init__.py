"""Files of weights from elsewhere, read as plain data within bounds of memory, time and size."""
