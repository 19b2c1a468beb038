"""A run as a folder that any web server can serve, and that translates in the browser of its visitor."""
