"""Examples: recordings to try Offscript on."""
