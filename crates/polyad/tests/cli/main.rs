//! The program seen from outside: the real binary, its two streams, its exit codes, what it leaves on the disk.

mod attention;
mod conduct;
mod hadamard;
mod help;
mod inputs;
mod library;
mod main_job;
mod outputs;
mod shapes;
mod support;
