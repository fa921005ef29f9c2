"""What a run loses when it is killed, when its disk is full, or when its files are spoilt: nothing.

`python -m benchmarks.faults --help`. A child a fault, forked from a process that has imported everything;
then the documented command again, and the finished run is compared with one that was never disturbed.
"""
