//! The life of a record, as an adversary would lead it: every move between states, everything that may be
//! refused, and what is left of it in the past. What holds for every kind is one function, run for all four.

mod edits;
mod groups;
mod hands;
mod requests;
