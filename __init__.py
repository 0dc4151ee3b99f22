"""This repository is the package `offscript`."""
