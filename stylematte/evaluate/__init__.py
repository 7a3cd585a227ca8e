"""A matter measured on pictures with known alpha: scores per picture, intervals, pictures of errors."""
