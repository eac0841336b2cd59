"""What every other package may use: errors, checks of arguments, refusals, names."""
