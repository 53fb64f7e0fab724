"""The demonstration: two encoders that never met, and one search across them."""
