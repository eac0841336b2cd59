"""Behind `trionng.guest`: a Trio run as a guest of asyncio's loop."""
