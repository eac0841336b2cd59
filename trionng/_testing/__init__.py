"""The testing kit: what `trionng.testing` offers to test suites of programs that use trionng."""
