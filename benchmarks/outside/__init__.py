"""Programs of peers that need a Python, or versions of packages, that are not ours."""
