"""What runs behind `serve_*`, `run_*` and `forward`."""
