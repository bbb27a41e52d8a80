"""Making recordings: the real host calls, their effects, snapshots, and the session that ties them together.

`session.record` is the way in; `hostapi` is for users' host files. May import the store, the engines,
`ttd.debuginfo`, `ttd.expr`, `ttd.wasm` and base; never the replayer. Imports nothing itself.
"""
