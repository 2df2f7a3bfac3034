//! The API over a real pool, with workers that speak the real wire. Rules of the contract by their numbers.

mod calling;
mod cancel;
mod document;
mod events;
mod harness;
mod hub;
mod pages;
mod refusals;
mod resources;
mod sockets;
