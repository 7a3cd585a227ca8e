"""The service `stylematte serve`: live pages of runs, steering, review of pairs, a queue of runs, matting over HTTP."""
