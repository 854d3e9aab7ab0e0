"""What fitting leaves behind: frozen, of arrays and plain values."""
