"""Images: folders of them, windows on them, and maps of where they are strange."""
