"""What an evaluation found, as plain data, and the page that is drawn from it."""
