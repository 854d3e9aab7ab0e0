"""What fitting leaves behind: frozen arrays and plain values."""
