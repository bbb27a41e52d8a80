"""Tests of the exact interpreter."""
