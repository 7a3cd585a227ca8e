"""StyleMatte: photo -> alpha. Knows no generator; `stylemattegan` imports only its ground modules."""
