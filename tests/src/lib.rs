//! System tests: real binaries, real peers, one process tree.
