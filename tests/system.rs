//! The whole system, from outside: real binaries, real peers, real sockets.

mod system {
    mod bad_input;
    mod chaos;
    mod conformance;
    mod crash;
    mod files;
    mod hub;
    mod hub_command;
    mod hub_shared;
    mod models;
    mod models_by_hand;
    mod others_buckets;
    mod run;
    mod slots;
    mod spans;
    mod submit;
    mod up;
    mod worker;
}
