//! Measures, tables and verification on a small program with a known meaning.

mod measure;
mod support;
mod tables;
mod verify;
