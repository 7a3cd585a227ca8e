"""The configuration: its schema, the loader of YAML files and key=value words, and what is refused."""
