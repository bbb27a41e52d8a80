"""Tests of `ttd.wasm`."""
