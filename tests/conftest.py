"""Stands here so that test files can import helpers from this folder, such as `handmade`."""
