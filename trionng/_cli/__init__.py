"""The subcommands of `python -m trionng`, one module each."""
