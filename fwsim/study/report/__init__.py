"""Runs as one HTML page: `contents` collects the data, and `page.html` shows them."""
