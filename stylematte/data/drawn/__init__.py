"""Pictures drawn by code whose alpha is exact: the quickstart's data, and the tests'."""
