"""The engine: steps, keys, processes, records. It knows no matting and imports neither package."""
