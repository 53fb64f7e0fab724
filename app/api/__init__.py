"""HTTP only: one router per noun, codecs, problem details, keys and limits."""
