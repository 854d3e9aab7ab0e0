"""Series: rows in the order of time, looked at through windows."""
