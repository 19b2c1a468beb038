"""An HTTP server for trained runs: LibreTranslate's API, and a page for people."""
