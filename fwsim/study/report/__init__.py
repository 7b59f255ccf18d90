"""Runs as one HTML page: what `contents` gathers, `page.html` shows."""
