"""Behind `trionng.instrument`: what instruments are told, and who tells them."""
