"""The tests of ttd. They mirror the packages; what several of them need lies in `tests.support`."""
